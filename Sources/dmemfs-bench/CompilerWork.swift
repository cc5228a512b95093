extension Workload {
    /// gcc, again and again, on a small program: most of it is computing, as most work is.
    ///
    /// What is not measured: the compiler and the system's headers lie where they are installed.
    static func compiler(_ scale: Scale) -> Workload {
        Workload(
            "compiler",
            [
                .untimed { try $0.shell(#"cp "$SOURCE/unit.c" ."#) },
                .seconds("\(scale.compilations) runs of gcc") {
                    try $0.shell(
                        "for run in $(seq \(scale.compilations)); do gcc -O1 -c unit.c -o unit$run.o; done")
                },
                .untimed { try $0.shell("rm -f unit*") },
            ])
    }
}
