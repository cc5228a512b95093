/// What bytes are used for.
public enum ByteUse: Sendable {
    case data
    case metadata
}

/// Bytes set aside but not yet in use: paid into a `Charge` piece by piece, and what is left is returned on `deinit`.
///
/// It holds its ledger strongly: see swift's order of destruction, in which an unowned ledger could be gone first.
public struct Reservation: ~Copyable {
    private let ledger: QuotaLedger
    /// What is left to pay with, in bytes.
    public private(set) var bytes: Int

    init(_ bytes: Int, of ledger: QuotaLedger) {
        self.ledger = ledger
        self.bytes = bytes
    }

    /// Moves `amount` of the reserved bytes into `charge`, which must be of the same ledger.
    public mutating func pay(_ amount: Int, into charge: inout Charge, as use: ByteUse) {
        precondition(amount >= 0 && amount <= bytes, "an operation took more than it had reserved")
        precondition(charge.ledger === ledger, "a reservation of one ledger paid into a charge of another")
        bytes -= amount
        ledger.settle(amount, kept: amount, data: use == .data ? amount : 0)
        charge.absorb(amount)
    }

    deinit {
        if bytes > 0 { ledger.settle(bytes, kept: 0, data: 0) }
    }
}

/// Bytes in use by one inode. They return to the ledger by `refund`, and all that is left on `deinit`.
///
/// The owner refunds its data itself, as it frees it: what is left at the end must be metadata.
public struct Charge: ~Copyable {
    public let ledger: QuotaLedger
    /// In bytes; data and metadata together.
    public private(set) var bytes: Int

    public init(to ledger: QuotaLedger) {
        self.ledger = ledger
        bytes = 0
    }

    fileprivate mutating func absorb(_ amount: Int) {
        bytes += amount
    }

    /// Returns `amount` bytes, which are no longer in use, to the ledger.
    public mutating func refund(_ amount: Int, as use: ByteUse) {
        precondition(amount >= 0 && amount <= bytes, "more was refunded than had been charged")
        bytes -= amount
        ledger.refund(amount, data: use == .data ? amount : 0)
    }

    deinit {
        if bytes > 0 { ledger.refund(bytes, data: 0) }
    }
}
