extension Workload {
    /// SQLite with one row to a transaction, in both of its journal modes.
    ///
    /// What is not measured: durability, as nothing in memory has any; several connections at once. Reading
    /// the statements is the sqlite3 program's own work and a part of each figure.
    static func database(_ scale: Scale) -> Workload {
        func step(_ mode: String) -> Step {
            .rate("journal_mode=\(mode)", scale.transactions, "tx") {
                try $0.shell(
                    #"sqlite3 base.db -cmd 'PRAGMA journal_mode=\#(mode)' ".read $SOURCE/transactions.sql""#)
            }
        }
        let remove = Step.untimed { try $0.shell("rm -f base.db*") }
        return Workload("SQLite", [step("DELETE"), remove, step("WAL"), remove])
    }
}
