import Accounting
import Basics
import Daemon
import Glibc
import Serving
import Storage
import Testing

@Suite("what a mount is asked for")
struct ConfigurationTests {
    private func configuration(
        _ lists: String..., flags: [Setting] = [], user: UInt32 = 0
    ) throws(ConfigurationError) -> Configuration {
        let settings = lists.flatMap { OptionList.settings(in: $0) } + flags
        let request = MountRequest(mountpoint: "/m", settings: settings, makesMountpoint: false)
        return try Configuration(validating: request, asUser: user, group: user) { () throws(Errno) in 8 << 30
        }
    }

    private func faults(_ list: String, user: UInt32 = 0) -> [String] {
        do throws(ConfigurationError) {
            _ = try configuration(list, user: user)
            return []
        } catch {
            return error.faults.map(\.description)
        }
    }

    @Test("root's mount is for all, without setuid programs and devices; a user's is his own")
    func defaults() throws {
        let root = try configuration()
        #expect(root.limits == Limits(bytes: 2 << 30))
        #expect(root.allowsOthers && root.rootMode == 0o1777 && root.kernelOptions == ["nodev", "nosuid"])
        #expect(root.storage.kind == .auto && root.stopTimeoutMilliseconds == 20_000)
        let user = try configuration(user: 1000)
        #expect(!user.allowsOthers && user.rootMode == 0o700 && user.rootOwner == 1000)
    }

    @Test("every option arrives where it belongs")
    func options() throws {
        let made = try configuration(
            "size=64M,nr_inodes=100,storage=random_access,node_limit_errno=ENOSPC,chunk_overhead=0",
            "promotion_limit=1M,mode=0750,uid=5,gid=6,nonempty,ro,suid,dev,noexec,fsname=a\\,b=c,private")
        #expect(made.limits == Limits(bytes: 64 << 20, nodes: 100, nodeLimitErrno: .noSpace))
        #expect(made.storage.kind == .randomAccess && made.storage.chunkOverheadBytes == 0)
        #expect(made.storage.promotionLimitBytes == 1 << 20)
        #expect(made.rootMode == 0o750 && made.rootOwner == 5 && made.rootGroup == 6)
        #expect(made.acceptsNonEmpty && !made.allowsOthers && made.name == "a,b=c")
        #expect(made.kernelOptions == ["dev", "noexec", "ro", "suid"])
        #expect(try configuration("acl").usesACL && configuration("noacl,acl").usesACL)
        #expect(try !configuration().usesACL && !configuration("acl,noacl").usesACL)
        #expect(try configuration("io_uring").usesIOUring && !configuration().usesIOUring)
        #expect(try configuration("suid,nosuid,ro,rw").kernelOptions == ["nodev", "nosuid"])
    }

    @Test("tmpfs's words and units mean here what they mean there")
    func tmpfs() throws {
        #expect(try configuration("nr_blocks=1k").limits.bytes == 1024 * Int(getpagesize()))
        #expect(try configuration("size=1m,nr_inodes=0").limits == Limits(bytes: 1 << 20))
        let made = try configuration("uid=root,gid=daemon,huge=never,noatime,context=a:b\\,c")
        #expect(made.rootOwner == 0 && made.rootGroup == 1 && made.warnings.isEmpty)
        #expect(made.kernelOptions == ["context=a:b\\,c", "noatime", "nodev", "nosuid"])
        #expect(try configuration("mpol=local,huge=always").warnings.count == 2)
        #expect(faults("nr_blocks=0").count == 1 && faults("nr_blocks=x").count == 1)
        #expect(faults("uid=-1").count == 1 && faults("nosymfollow", user: 1000).count == 1)
        #expect(faults("remount,size=1M").first?.contains("mount(8)") == true)
        #expect(faults("fsname=" + String(repeating: "x", count: 300)).count == 1)
    }

    @Test("what mount(8) and fstab hand on is accepted")
    func accepted() throws {
        let made = try configuration(
            "defaults,rw,relatime,nofail,noauto,user,_netdev,x-systemd.automount,X-a=b,comment=hello,atime,,")
        #expect(made.kernelOptions == ["nodev", "nosuid"])
    }

    @Test("an unknown option is refused, with the word that was probably meant")
    func unknown() {
        #expect(faults("sise=1M").first?.contains("did you mean 'size'") == true)
        #expect(faults("nonempti").first?.contains("did you mean 'nonempty'") == true)
        #expect(faults("zzzzzzzzzzz").first?.contains("dmemfs help mount") == true)
        #expect(faults("nosymbols").first?.contains("unknown option") == true)
        #expect(faults(String(repeating: "x", count: 5000)).count == 1)
    }

    @Test("all faults are reported at once")
    func allAtOnce() {
        let wrong = "size=0,nr_inodes=-1,storage=disk,mode=9,uid=x,nonempty=1,zzzzzzzzz"
        let found = faults("\(wrong),node_limit_errno=EIO")
        #expect(found.count == 8)
        #expect(found.allSatisfy { !$0.contains("\n") })
    }

    @Test("a list and a flag that say different things are refused")
    func contradiction() throws {
        let flag = Setting(name: "size", value: "2M", spelling: "--size")
        #expect(throws: ConfigurationError.self) { try configuration("size=1M", flags: [flag]) }
        #expect(try configuration("size=2M", flags: [flag]).limits.bytes == 2 << 20)
        // Within one list the last one holds, as with mount(8).
        #expect(try configuration("size=1M,size=3M").limits.bytes == 3 << 20)
    }

    @Test("suid and dev are for root, and an engine has its name and its own settings")
    func refusals() throws {
        #expect(faults("suid", user: 1000).count == 1)
        #expect(faults("io=memory").isEmpty && faults("io=auto").isEmpty)
        #expect(faults("io=fast").first?.contains("no engine") == true)
        #expect(faults("io=strict,storage=auto,chunk_overhead=1").count == 2)
        #expect(faults("io=passthrough,huge=never").isEmpty && faults("io=passthrough,huge=x").count == 1)
        #expect(try configuration("huge=within_size").storage.takesHugePages)
        #expect(try !configuration("huge=auto").storage.takesHugePages)
        #expect(faults("huge=within_size,mlock").first?.contains("exclude each other") == true)
        #expect(try configuration("").engine == .memory)
        #expect(try configuration("io=auto").engine == .memory)
        #expect(try configuration("io=strict").engine == .strict)
    }

    @Test("a backslash takes the meaning from a comma, and nothing from other words")
    func escapes() {
        let settings = OptionList.settings(in: "fsname=a\\,b\\\\c,size=1M,ro")
        #expect(settings.map(\.name) == ["fsname", "size", "ro"])
        #expect(settings.map(\.value) == ["a,b\\c", "1M", nil])
    }
}
