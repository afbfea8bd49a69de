import Foundation
import SlipwaySystem
import Testing

@Suite struct ProcessIdentityTests {
    @Test func aProcessIsKnownByItsPlaceItsNumberAndItsStart() throws {
        let mine = try ProcessIdentity.current
        #expect(mine.pid == getpid() && mine.startTime > 0)
        #expect(try mine == .current)
        #expect(try !mine.isGone)
        // Its number was given to another process.
        #expect(try ProcessIdentity(place: mine.place, pid: mine.pid, startTime: mine.startTime - 1).isGone)
        // Nobody has a number above the kernel's limit.
        #expect(try ProcessIdentity(place: mine.place, pid: (1 << 22) + 1, startTime: 1).isGone)
        // What runs elsewhere can't be seen from here.
        #expect(try !ProcessIdentity(place: "another", pid: (1 << 22) + 1, startTime: 1).isGone)
    }
}
