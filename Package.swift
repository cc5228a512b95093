// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built with these: language mode 6, no warning let through, unsafe code marked as
/// such.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
let strictC: [CSetting] = [
    .treatAllWarnings(as: .error),
    .define("_GNU_SOURCE"),
]
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func test(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["Support"], swiftSettings: strict)
}

let package = Package(
    name: "dmemfs",
    products: [
        .executable(name: "dmemfs", targets: ["dmemfs"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        // The headers and the linker flag of libfuse, found by pkg-config.
        .systemLibrary(name: "CFuse3", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
        // The one `fuse_lowlevel_ops`, and everything that depends on libfuse's version.
        .target(name: "CFuseShim", dependencies: ["CFuse3"], cSettings: strictC),
        // System calls and constants that Swift cannot import.
        .target(name: "CLinux", cSettings: strictC),
        // Small value types that every room shares, and the lock.
        room("Basics", ["CLinux", system]),
        // Counters made of atomics.
        room("Telemetry", []),
        // Who may have how much.
        room("Accounting", ["Basics", "Telemetry", system]),
        // The bytes of one file, and the memory that bytes, names and inodes live in.
        room("Storage", ["Accounting", "Basics", "CLinux", system]),
        // The filesystem: inode table, directories, operations.
        room("Tree", ["Storage", "Accounting", "Basics", "CLinux", "Telemetry", system]),
        // libfuse as Swift, free of semantics.
        room("Fuse", ["CFuseShim", "Basics", system]),
        // Answers FUSE requests with a tree.
        room("Serving", ["Tree", "Fuse", "Accounting", "Telemetry", "Basics", system]),
        // The control socket: requests, replies, client, server.
        room("Control", ["Basics", "CLinux", system]),
        // Configuration, start, stop, readiness, signals.
        room(
            "Daemon",
            [
                "Serving", "Control", "Tree", "Storage", "Accounting", "Telemetry", "Fuse", "Basics",
                "CLinux", logging,
                system,
            ]),
        // The command line, one file a verb.
        .executableTarget(
            name: "dmemfs",
            dependencies: [
                "Daemon", "Control", "Storage", "Accounting", "Basics", "CLinux", arguments, logging, system,
            ],
            exclude: ["Manual"],
            swiftSettings: strict),
        // What dmemfs-bench repeats without anything between, and its count of allocations.
        .target(name: "CBench", cSettings: strictC),
        // Measurements: on mounts, and without one.
        .executableTarget(
            name: "dmemfs-bench",
            dependencies: [
                "CBench", "Support", "Daemon", "Control", "Serving", "Fuse", "Tree", "Storage", "Accounting",
                "Basics", arguments, system,
            ],
            swiftSettings: strict),
        .target(
            name: "Support",
            dependencies: [
                "Tree", "Storage", "Accounting", "Fuse", "CFuseShim", "Serving", "Basics", "CLinux", system,
            ],
            path: "Tests/Support", swiftSettings: strict),
        // Runs the patterns whose memory must stay bounded: `make bound`.
        .executableTarget(
            name: "dmemfs-bound",
            dependencies: [
                "Support", "Control", "Tree", "Storage", "Accounting", "Basics", "CLinux", system,
            ],
            path: "Tests/Bound", swiftSettings: strict),
        test("AccountingTests", ["Accounting", "Telemetry", "Basics", system]),
        test("StorageTests", ["Storage", "Accounting", "Basics", system]),
        test("TreeTests", ["Serving", "Tree", "Storage", "Accounting", "Basics", "CLinux", system]),
        test("FuseTests", ["Fuse", "Serving", "Tree", "Storage", "Accounting", "Basics", "CLinux", system]),
        test("MountTests", ["dmemfs", "Basics", "CLinux", system]),
        test(
            "DaemonTests",
            ["dmemfs", "Daemon", "Control", "Serving", "Storage", "Accounting", "Basics", "CLinux", system]),
        test("TidyTests", ["Basics", system]),
    ]
)
