// `Errno` comes from here: a file that imports `Basics` needs no second import for it.
@_exported public import SystemPackage
