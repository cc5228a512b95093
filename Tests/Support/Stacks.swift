import Basics
import Glibc

/// Where the threads of a process stand: what one looks at when nothing moves.
///
/// In the kernel by /proc, always; in the program by gdb, where that is installed and may look.
package enum Stacks {
    /// What there is to be known, as text. Takes some seconds.
    package static func of(_ process: Int32) -> String {
        kernelStacks(of: process) + programStacks(of: process)
    }

    /// What the kernel tells, without stopping the process.
    static func kernelStacks(of process: Int32) -> String {
        guard let tasks = try? Kernel.list(Path("/proc/\(process)/task")) else {
            return "process \(process) is not there\n"
        }
        return tasks.map { task in
            let folder = "/proc/\(process)/task/\(task.text)"
            let parts = ["comm", "wchan", "syscall", "stack"].map { name in
                (try? Files.text(of: "\(folder)/\(name)")) ?? "? \n"
            }
            return "thread \(task.text): \(parts.joined(separator: " "))\n"
        }.joined()
    }

    private static func programStacks(of process: Int32) -> String {
        let command = ["gdb", "--batch", "-nx", "-p", "\(process)", "-ex", "thread apply all backtrace 40"]
        guard Program.missing(["gdb"]).isEmpty else { return "gdb is not installed\n" }
        guard let result = try? Program.run(command, in: "/", seconds: 120) else { return "gdb failed\n" }
        return result.output
    }
}
