import Basics
import Testing

@Suite("sizes, counts and times as the command line takes them")
struct QuantityTests {
    private static let sizes: [(String, Int)] = [
        ("1", 1), ("4096", 4096), ("4096B", 4096), ("64k", 65_536), ("512M", 536_870_912),
        ("2G", 2_147_483_648), ("1.5GiB", 1_610_612_736), ("1.5gib", 1_610_612_736), ("2GB", 2_147_483_648),
        ("0.5k", 512), ("1t", 1_099_511_627_776), ("7E", 8_070_450_532_247_928_832),
        ("9223372036854775807", Int.max), ("0.999999999k", 1023),
    ]

    @Test("a size is read in powers of 1024, whatever its case", arguments: sizes)
    func size(text: String, bytes: Int) throws {
        #expect(try ByteCount(parsing: text).bytes == bytes)
        #expect(try SizeArgument(parsing: text) == .bytes(ByteCount(bytes)))
    }

    @Test(
        "what is no size is refused in one line that names the text and the remedy",
        arguments: [
            "", "x", "0", "0M", "0.0001k", "-1", "-5M", "1.5", "1..5M", "1.M", ".5M", "M", "B", "iB", "5iB",
            "5kk",
            "5 M", "0x10", "8E", "9223372036854775808", "99999999999T", "1.1234567890M", "1e3", "+5", "５",
        ])
    func badSize(text: String) {
        let error = #expect(throws: QuantityError.self) { try ByteCount(parsing: text) }
        let line = error?.description ?? ""
        #expect(line.contains("'\(text)'") && line.contains("512M") && !line.contains("\n"))
    }

    @Test("each fault is called by its name")
    func faults() {
        let line = { (text: String) in #expect(throws: QuantityError.self) { try ByteCount(parsing: text) } }
        #expect(line("0")?.description.contains("zero") == true)
        #expect(line("-5M")?.description.contains("negative") == true)
        #expect(line("8E")?.description.contains("larger") == true)
        #expect(line("8x")?.description.contains("not a size") == true)
    }

    @Test("a percentage is kept as one")
    func percent() throws {
        #expect(try SizeArgument(parsing: "25%") == .percent(thousandths: 25_000))
        #expect(try SizeArgument(parsing: "12.5%") == .percent(thousandths: 12_500))
        #expect(try SizeArgument(parsing: "100%") == .percent(thousandths: 100_000))
        for text in ["0%", "100.001%", "-1%", "%", "25M%", "1000%"] {
            #expect(throws: QuantityError.self) { try SizeArgument(parsing: text) }
        }
    }

    @Test("a count takes the same suffixes and no unit of bytes")
    func count() throws {
        #expect(try CountArgument.parse("100") == 100)
        #expect(try CountArgument.parse("1m") == 1 << 20)
        for text in ["1MiB", "1B", "0", "-1", "1.5", ""] {
            #expect(throws: QuantityError.self) { try CountArgument.parse(text) }
        }
    }

    @Test("a time is read in seconds unless it says otherwise")
    func time() throws {
        #expect(try DurationArgument.milliseconds(parsing: "20") == 20_000)
        #expect(try DurationArgument.milliseconds(parsing: "20s") == 20_000)
        #expect(try DurationArgument.milliseconds(parsing: "500ms") == 500)
        #expect(try DurationArgument.milliseconds(parsing: "2m") == 120_000)
        #expect(try DurationArgument.milliseconds(parsing: "0") == 0)
        for text in ["", "s", "-1", "1h", "99999999999", "1.5s"] {
            #expect(throws: QuantityError.self) { try DurationArgument.milliseconds(parsing: text) }
        }
    }

    @Test("a number of bytes is written for people, never rounded up")
    func wording() {
        #expect(ByteCount(0).description == "0 B")
        #expect(ByteCount(1023).description == "1023 B")
        #expect(ByteCount(512 << 20).description == "512 MiB")
        #expect(ByteCount((512 << 20) - 1).description == "511.9 MiB")
        #expect(ByteCount(3 << 29).description == "1.5 GiB")
    }
}
