/// Bytes set aside but not yet in use: committed into a `Charge`, or returned on `deinit`.
///
/// It holds its ledger strongly: the compiler may end a local after its last use, and an unowned ledger with
/// it.
public struct Reservation: ~Copyable {
    private let ledger: QuotaLedger
    /// In bytes.
    public private(set) var bytes: Int
    private let behindWall: Bool

    init(_ bytes: Int, of ledger: QuotaLedger, behindWall: Bool) {
        self.ledger = ledger
        self.bytes = bytes
        self.behindWall = behindWall
    }

    /// Turns the promise into use: the use of `charge` changes by `data` and `metadata` bytes.
    ///
    /// Either may be negative; together they are at most what was reserved. What was reserved beyond is
    /// returned.
    public consuming func commit(into charge: inout Charge, data: Int, metadata: Int) {
        precondition(data + metadata <= bytes, "an operation used more than it had reserved")
        precondition(
            charge.ledger === ledger, "a reservation of one ledger was committed into a charge of another")
        ledger.settle(bytes, data: data, metadata: metadata, behindWall: behindWall)
        charge.change(data: data, metadata: metadata)
        bytes = 0
    }

    deinit {
        if bytes > 0 { ledger.settle(bytes, data: 0, metadata: 0, behindWall: behindWall) }
    }
}

/// Bytes in use by one inode. All that is left returns to its ledger on `deinit`.
///
/// The owner frees its data before the charge ends: what is left then is metadata.
public struct Charge: ~Copyable {
    public let ledger: QuotaLedger
    /// In bytes; data and metadata together.
    public private(set) var bytes: Int

    public init(to ledger: QuotaLedger) {
        self.ledger = ledger
        bytes = 0
    }

    fileprivate mutating func change(data: Int, metadata: Int) {
        bytes += data + metadata
        precondition(bytes >= 0, "more was given back than had been charged")
    }

    /// Changes the use by amounts that are together not positive: memory was freed, or moved from one use to
    /// another.
    public mutating func shrink(data: Int, metadata: Int) {
        precondition(data + metadata <= 0, "a charge can grow only through a reservation")
        guard data != 0 || metadata != 0 else { return }
        change(data: data, metadata: metadata)
        ledger.settle(0, data: data, metadata: metadata)
    }

    /// Takes over what was stored without a request, or is gone again: it is there, whatever the limit says.
    public mutating func takeOver(data: Int) {
        guard data != 0 else { return }
        change(data: data, metadata: 0)
        ledger.settle(0, data: data, metadata: 0)
        ledger.notePeak(ledger.usedBytes)
    }

    deinit {
        if bytes > 0 { ledger.settle(0, data: 0, metadata: -bytes) }
    }
}
