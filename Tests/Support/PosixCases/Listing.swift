import Basics
import CLinux
import Glibc

extension PosixCases {
    static let listing: [PosixCase] = [
        PosixCase("listing.once", "a new directory lists dot and dot-dot only") { s in
            try Kernel.mkdir(s["d"])
            let stream = try Kernel.Stream(s["d"])
            defer { stream.close() }
            var names: [String] = []
            while let entry = try stream.next() { names.append(entry.text) }
            s.equal(names.sorted(), [".", ".."])
        },
        PosixCase("listing.once", "a directory of 5,000 names lists each exactly once") { s in
            for index in 0..<5000 { try Kernel.mknod(s["name-\(index)"], S_IFREG | 0o600) }
            let names = try Kernel.list(s.directory).map(\.text)
            s.equal(names.count, 5000)
            s.equal(Set(names).count, 5000)
            s.equal(Set(names), Set((0..<5000).map { "name-\($0)" }))
        },
        PosixCase(
            "listing.once", "deleting each entry as it is listed misses none, and leaves the directory empty"
        ) { s in
            for index in 0..<3000 { try Kernel.mknod(s["n\(index)"], S_IFREG | 0o600) }
            let stream = try Kernel.Stream(s.directory)
            defer { stream.close() }
            var seen = 0
            while let entry = try stream.next() {
                if entry.text == "." || entry.text == ".." { continue }
                seen += 1
                try Kernel.unlink(s[entry.name])
            }
            s.equal(seen, 3000)
            s.equal(try Kernel.list(s.directory).count, 0)
        },
        PosixCase("listing.once", "deleting every second entry while listing shows the others once") { s in
            for index in 0..<2000 { try Kernel.mknod(s["n\(index)"], S_IFREG | 0o600) }
            let stream = try Kernel.Stream(s.directory)
            defer { stream.close() }
            var kept: [String] = []
            var position = 0
            while let entry = try stream.next() {
                if entry.text == "." || entry.text == ".." { continue }
                position += 1
                if position % 2 == 0 { try Kernel.unlink(s[entry.name]) } else { kept.append(entry.text) }
            }
            s.equal(Set(kept).count, kept.count)
            s.equal(try s.names(s.directory), kept.sorted())
        },
        PosixCase("listing.once", "adding names while listing shows the old ones once, and the list ends") {
            s in
            for index in 0..<1500 { try Kernel.mknod(s["old\(index)"], S_IFREG | 0o600) }
            let stream = try Kernel.Stream(s.directory)
            defer { stream.close() }
            var old: [String] = []
            var added = 0
            while let entry = try stream.next() {
                if entry.text.hasPrefix("old") {
                    old.append(entry.text)
                    try Kernel.mknod(s["new\(added)"], S_IFREG | 0o600)
                    added += 1
                }
                if added > 5000 { break }
            }
            s.equal(old.count, 1500)
            s.equal(Set(old).count, 1500)
        },
        PosixCase("listing.once", "long names are listed whole across many reads of the directory") { s in
            let long = String(repeating: "x", count: 250)
            for index in 0..<1000 { try Kernel.mknod(s["\(long)\(index)"], S_IFREG | 0o600) }
            s.equal(Set(try Kernel.list(s.directory).map(\.text)).count, 1000)
        },
        PosixCase("listing.numbers", "every entry's d_ino is its st_ino and its d_type is its type") { s in
            try s.make(s["f"])
            try Kernel.mkdir(s["d"])
            try Kernel.symlink("f", s["l"])
            try Kernel.mknod(s["p"], S_IFIFO | 0o600)
            try Kernel.mknod(s["s"], S_IFSOCK | 0o600)
            for entry in try Kernel.list(s.directory) {
                let status = try Kernel.lstat(s[entry.name])
                s.equal(entry.number, status.st_ino, entry.text)
                s.equal(UInt32(entry.type), status.type >> 12, entry.text)
            }
            let stream = try Kernel.Stream(s["d"])
            defer { stream.close() }
            while let entry = try stream.next() {
                let wanted = entry.text == "." ? s["d"] : s.directory
                s.equal(entry.number, try Kernel.stat(wanted).st_ino, entry.text)
                s.equal(entry.type, 4, entry.text)
            }
        },
        PosixCase("listing.numbers", "d_ino and st_ino agree after renames, links and EXCHANGE") { s in
            try s.make(s["a"], "a")
            try s.make(s["b"], "b")
            try Kernel.link(s["a"], s["c"])
            _ = try Kernel.list(s.directory)
            try Kernel.rename(s["a"], s["b"], flags: linux_rename_exchange)
            try Kernel.rename(s["c"], s["d"])
            for entry in try Kernel.list(s.directory) {
                s.equal(entry.number, try Kernel.lstat(s[entry.name]).st_ino, entry.text)
            }
        },
        PosixCase("listing.numbers", "numbers of files are not used again while their names come and go") {
            s in
            var seen: Set<UInt> = []
            for round in 0..<200 {
                try s.make(s["f"], "\(round)")
                s.that(
                    seen.insert(try Kernel.stat(s["f"]).st_ino).inserted, "round \(round) has a new number")
                try Kernel.unlink(s["f"])
            }
        },
        PosixCase("listing.cookies", "seekdir to any cookie gives the names behind it again") { s in
            for index in 0..<600 { try Kernel.mknod(s["n\(index)"], S_IFREG | 0o600) }
            let stream = try Kernel.Stream(s.directory)
            defer { stream.close() }
            var entries: [Kernel.Listed] = []
            while let entry = try stream.next() { entries.append(entry) }
            s.equal(entries.count, 602)
            for index in stride(from: entries.count - 2, through: 0, by: -7) {
                stream.seek(entries[index].cookie)
                s.equal(try stream.next()?.name, entries[index + 1].name, "behind entry \(index)")
            }
        },
        PosixCase("listing.cookies", "a cookie survives the deletion of its own entry and of those around it")
        { s in
            for index in 0..<300 { try Kernel.mknod(s["n\(index)"], S_IFREG | 0o600) }
            let stream = try Kernel.Stream(s.directory)
            defer { stream.close() }
            let entries = try stream.rest()
            for index in 95...105 where index != 104 && index != 105 {
                try Kernel.unlink(s[entries[index].name])
            }
            // POSIX leaves open whether a name removed since the last rewinddir is still listed; the others
            // must be.
            stream.seek(entries[100].cookie)
            let next = try stream.next()?.name
            s.that(entries[101...104].contains { $0.name == next }, "behind a deleted entry")
            stream.seek(entries[20].cookie)
            let rest = try stream.rest().map(\.name)
            s.equal(Set(rest).count, rest.count)
            let kept = Set((entries[21..<95] + entries[104...]).map(\.name))
            s.that(kept.isSubset(of: rest), "every name that is left is listed")
            s.that(Set(rest).isSubset(of: entries[21...].map(\.name)), "and none from before the cookie")
        },
        PosixCase("listing.fresh", "rewinddir sees what was added and removed since") { s in
            try s.make(s["a"])
            try s.make(s["b"])
            let stream = try Kernel.Stream(s.directory)
            defer { stream.close() }
            s.equal(try stream.rest().map(\.text).sorted(), ["a", "b"])
            try Kernel.unlink(s["a"])
            try s.make(s["c"])
            stream.rewind()
            s.equal(try stream.rest().map(\.text).sorted(), ["b", "c"])
        },
        PosixCase(
            "listing.fresh", "a second listing sees every change at once, however often the first was read"
        ) { s in
            for round in 0..<100 {
                try s.make(s["n\(round)"])
                s.equal(try Kernel.list(s.directory).count, round + 1)
            }
            for round in 0..<100 {
                try Kernel.unlink(s["n\(round)"])
                s.equal(try Kernel.list(s.directory).count, 99 - round)
            }
        },
        PosixCase("listing.fresh", "threads that work in one directory leave it as they should") { s in
            let directory = s.directory
            Threads.together(4) { thread in
                for round in 0..<100 {
                    let path = directory / "t\(thread)-\(round)"
                    guard let fd = try? Kernel.open(path, O_RDWR | O_CREAT) else { continue }
                    _ = try? Kernel.write(fd, [UInt8](repeating: UInt8(thread), count: 5000))
                    try? Kernel.close(fd)
                    try? Kernel.rename(path, directory / "r\(thread)-\(round)")
                    if round % 2 == 0 { try? Kernel.unlink(directory / "r\(thread)-\(round)") }
                }
            }
            let left = try Kernel.list(s.directory)
            s.equal(left.count, 200)
            for entry in left {
                let bytes = try s.contents(s[entry.name])
                s.equal(bytes.count, 5000, entry.text)
                s.equal(Set(bytes).count, 1, entry.text)
            }
        },
        PosixCase("listing.size", "the size of a directory grows with its names, and falls again") { s in
            try Kernel.mkdir(s["d"])
            let empty = try Kernel.stat(s["d"]).st_size
            for index in 0..<100 { try s.make(s["d/f\(index)"]) }
            let full = try Kernel.stat(s["d"]).st_size
            s.that(full > empty, "a hundred names take \(full - empty)")
            for index in 0..<100 { try Kernel.unlink(s["d/f\(index)"]) }
            s.equal(try Kernel.stat(s["d"]).st_size, empty)
        },
    ]
}
