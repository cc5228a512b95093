public import Basics
import CLinux
import Glibc

/// The terminal of this process while something is drawn on it: keys come one by one, unseen, and a second
/// screen covers what is there.
///
/// Whatever ends its user, `restore` comes first: signals that end or stop a program are held back and
/// waited for together with the keys. Only SIGKILL leaves the terminal as it is.
public final class Terminal {
    public enum Event: Hashable, Sendable {
        /// The lower-case letter, or another byte, that was typed.
        case key(UInt8)
        /// The window has another size, or the program was stopped and goes on: all is to be drawn anew.
        case redraw
        /// Nobody is at the terminal any more.
        case gone
        /// What was waited for besides is readable.
        case readable
        case timeout
    }

    private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH]
    private static let cover = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l"
    private static let uncover = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"

    private let held: Int32
    private var before: termios?
    private var isCovered = false

    public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// How wide the terminal that the output goes to is, in columns; nil where it is none.
    public static var columns: Int? {
        guard isTerminal(STDOUT_FILENO) else { return nil }
        let columns = linux_terminal_size(STDOUT_FILENO).columns
        return columns > 0 ? Int(columns) : 80
    }

    public static var rows: Int {
        let rows = linux_terminal_size(STDOUT_FILENO).rows
        return rows > 0 ? Int(rows) : 24
    }

    /// Takes the terminal that the output goes to, and the keys where the input is one, too.
    public init() throws(Errno) {
        let signals = Self.signals
        held = unsafe signals.withUnsafeBufferPointer { list in
            guard let start = list.baseAddress else { return -EINVAL }
            return unsafe linux_signals_hold(start, list.count)
        }
        guard held >= 0 else { throw Errno(rawValue: -held) }
        take()
    }

    deinit {
        restore()
        close(held)
    }

    private func take() {
        var settings = termios()
        if unsafe tcgetattr(STDIN_FILENO, &settings) == 0 {
            before = settings
            settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
            _ = unsafe tcsetattr(STDIN_FILENO, TCSANOW, &settings)
        }
        write(Self.cover)
        isCovered = true
    }

    /// Puts everything back as it was; also twice.
    public func restore() {
        if var before {
            _ = unsafe tcsetattr(STDIN_FILENO, TCSANOW, &before)
            self.before = nil
        }
        if isCovered { write(Self.uncover) }
        isCovered = false
    }

    /// Draws the lines from the top left corner on.
    public func draw(_ lines: [String]) {
        let text = lines.map { "\($0)\u{1b}[K" }.joined(separator: "\n")
        write("\u{1b}[H\(text)\u{1b}[J")
    }

    private func write(_ text: String) {
        do throws(Errno) {
            try Files.write(Array(text.utf8), to: STDOUT_FILENO)
        } catch {
            // It has hung up, which the next wait says.
            return
        }
    }

    /// Waits for a key, or for `descriptor` where there is one. A signal that ends programs ends this one,
    /// with the terminal as it was.
    public func wait(for descriptor: Int32? = nil, milliseconds: Int = -1) -> Event {
        var waits = [
            pollfd(fd: held, events: Int16(POLLIN), revents: 0),
            pollfd(fd: before == nil ? -1 : STDIN_FILENO, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        guard unsafe poll(&waits, UInt(waits.count), Int32(clamping: milliseconds)) > 0 else {
            return .timeout
        }
        if waits[0].revents != 0 {
            let signal = linux_signals_next(held)
            if signal != 0, signal != SIGWINCH {
                restore()
                linux_signal_suffer(signal)
                take()
            }
            return .redraw
        }
        guard waits[1].revents != 0 else { return .readable }
        do throws(Errno) {
            guard let key = try Files.read(STDIN_FILENO, upTo: 1).first else { return .gone }
            return .key(key | 0x20)
        } catch {
            return .gone
        }
    }
}
