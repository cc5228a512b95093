public import Basics

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

/// One node set aside: committed when it exists, returned on `deinit` when it does not come to be.
public struct NodeReservation: ~Copyable {
    private let ledger: QuotaLedger
    private var isCommitted = false

    init(of ledger: QuotaLedger) {
        self.ledger = ledger
    }

    public consuming func commit() {
        isCommitted = true
    }

    deinit {
        if !isCommitted { ledger.giveBackNode() }
    }
}

/// Bytes in use by one inode. All that is left returns to its ledger on `deinit`.
///
/// The owner frees its data before the charge ends: what is left then is metadata.
public struct Charge: ~Copyable {
    public private(set) var ledger: QuotaLedger
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
    }

    // MARK: - Moving to another ledger

    /// Takes what this charge, and `nodes` nodes with it, need at the levels of `target` that they do not
    /// count at yet.
    ///
    /// - Throws: `.diskQuotaExceeded`, where such a level refuses.
    public func transfer(to target: QuotaLedger, nodes: Int) throws(Errno) -> Transfer {
        try target.takeTransfer(from: ledger, bytes: bytes, nodes: nodes)
        return Transfer(from: ledger, to: target, bytes: bytes, nodes: nodes)
    }

    /// Moves to where `transfer` has made room. The charge must not have changed since.
    ///
    /// Returns the way back: until that ends, what counted at the levels of the source alone stays taken.
    @discardableResult
    public mutating func commit(_ transfer: consuming Transfer) -> Transfer {
        precondition(transfer.bytes == bytes && transfer.source === ledger, "a charge changed while it moved")
        ledger = transfer.target
        return transfer.reversed()
    }

    /// The same where the bytes may have changed by themselves since (`takeOver`): they are there, whatever
    /// the limits say.
    public mutating func goBack(by wayBack: consuming Transfer) {
        wayBack.adjust(to: bytes)
        commit(wayBack)
    }

    /// Moves to `target` with `nodes` nodes; a `level` that it leaves is nil, or the one that `target` lacks.
    ///
    /// - Throws: as `transfer`; never where it leaves a level.
    public mutating func move(nodes: Int, to target: QuotaLedger, leaving level: QuotaLevel?) throws(Errno) {
        if target === ledger { return }
        if let level, level.isSetAside, ledger.paysAt(level) {
            level.release(&self, nodes: nodes, to: target)
        } else {
            let transfer = try transfer(to: target, nodes: nodes)
            commit(transfer)
        }
    }

    /// Moves to `target`, whose levels count these bytes already: as part of what `setAside` holds.
    mutating func move(to target: QuotaLedger, paidBy setAside: inout Charge) {
        precondition(bytes <= setAside.bytes, "more was used than had been set aside")
        setAside.bytes -= bytes
        ledger = target
    }

    deinit {
        if bytes > 0 { ledger.settle(0, data: 0, metadata: -bytes) }
    }
}

/// Room for a charge at the levels of another ledger: committed when it moves there, returned on `deinit`.
public struct Transfer: ~Copyable {
    fileprivate let source: QuotaLedger
    fileprivate let target: QuotaLedger
    fileprivate private(set) var bytes: Int
    private let nodes: Int
    private var isCommitted = false

    init(from source: QuotaLedger, to target: QuotaLedger, bytes: Int, nodes: Int) {
        self.source = source
        self.target = target
        self.bytes = bytes
        self.nodes = nodes
    }

    /// What was taken at the levels of the target stays; what counted at those of the source alone is what
    /// the other direction takes.
    fileprivate consuming func reversed() -> Transfer {
        isCommitted = true
        return Transfer(from: target, to: source, bytes: bytes, nodes: nodes)
    }

    fileprivate mutating func adjust(to bytes: Int) {
        target.giveBackTransfer(from: source, bytes: self.bytes - bytes, nodes: 0)
        self.bytes = bytes
    }

    deinit {
        if !isCommitted { target.giveBackTransfer(from: source, bytes: bytes, nodes: nodes) }
    }
}
