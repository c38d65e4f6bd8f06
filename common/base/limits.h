// Every bound of the program, with its reason. What a limit ties to another is asserted at the end.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace espalier::limits {

using namespace std::chrono_literals;

// --- frames
// -------------------------------------------------------------------------------------------------------
// A control frame's payload. Small enough that a hostile length costs nothing, large enough for 200
// hits.
inline constexpr std::size_t kFrameBytes = 64 * 1024;
inline constexpr std::size_t kFrameHeaderBytes = 4;

// --- strings
// ------------------------------------------------------------------------------------------------------
inline constexpr std::size_t kPeerIdBytes = 64;  // a file name's worth, fits a line of topo.txt
inline constexpr std::size_t kHostBytes = 255;   // DNS
inline constexpr std::size_t kJoinWordBytes = 256;
inline constexpr std::size_t kPatternBytes = 1024;
inline constexpr std::size_t kPathBytes = 4096;     // PATH_MAX
inline constexpr std::size_t kMessageBytes = 1024;  // an error's sentence on the wire

// --- the tree
// -----------------------------------------------------------------------------------------------------
inline constexpr unsigned kMinLinks = 2;            // with one link a peer could relay nothing
inline constexpr unsigned kMaxLinks = 64;           // a referral names every child of a full peer
inline constexpr std::size_t kContacts = 16;        // enough to survive many deaths at once
inline constexpr std::size_t kPendingAttaches = 8;  // comers a peer keeps waiting for a fresh beat
inline constexpr std::uint64_t kBeatJump =
    1ull << 32;  // the most that one message may raise a beat number
inline constexpr auto kBeatInterval = 2s;
inline constexpr auto kSilence = 6s;    // three beats lost
inline constexpr auto kStall = 1500ms;  // a gap in our own time: we were stopped, not the others
inline constexpr auto kAttachTimeout = 2s;  // one attempt; a silent candidate costs this
inline constexpr auto kReferralRetry = 5s;  // a newcomer insists on its place for that long
inline constexpr auto kRejoinWait = 6s;     // a restarted metaserver waits for the peers of before
inline constexpr std::uint64_t kMembers = 1u << 20;  // the registry's size: 2 KiB each, 2 GiB

// --- connections
// --------------------------------------------------------------------------------------------------
inline constexpr int kListenBacklog = 4096;  // a storm of joins
inline constexpr std::size_t kConnections =
    100'000;                               // of one process; the file limit is usually lower
inline constexpr auto kHelloTimeout = 5s;  // a connection that never says what it is for
inline constexpr std::size_t kQueueHighBytes =
    512 * 1024;  // a link's queue: from here its sources are slowed
inline constexpr std::size_t kQueueLowBytes = 128 * 1024;  // and from here no longer
inline constexpr std::size_t kQueueCloseBytes =
    8 * 1024 * 1024;  // a reader that takes nothing at all

// --- searches
// -----------------------------------------------------------------------------------------------------
inline constexpr std::size_t kHitsPerPeer = 200;
inline constexpr std::size_t kHitsPerQuery = 20'000;  // what an asker keeps
inline constexpr std::size_t kOpenQueries = 512;      // at one peer
inline constexpr double kQueriesPerSecond = 50;       // a link's token bucket
inline constexpr double kQueryBurst = 200;
inline constexpr std::size_t kCoverageRanges = 4096;  // of join orders in one answer
inline constexpr std::size_t kMissingNamed = 64;      // in one answer

// --- files
// --------------------------------------------------------------------------------------------------------
inline constexpr std::size_t kBlockBytes = 16 * 1024;    // BEP 52
inline constexpr std::uint64_t kFileBytes = 1ull << 44;  // 16 TiB, ext4's largest
// How files are cut into chunks: see chunkBytesFor().
inline constexpr std::uint64_t kChunkBytesMin = 1ull << 20;
inline constexpr std::uint64_t kChunkBytesMax = 16ull << 20;
inline constexpr std::uint64_t kChunksWanted = 4096;  // a list of 128 KiB

static_assert(kQueueLowBytes < kQueueHighBytes && kQueueHighBytes < kQueueCloseBytes);
static_assert(kBeatInterval * 3 <= kSilence);
static_assert(kPathBytes + kPatternBytes < kFrameBytes);
static_assert(kCoverageRanges * 12 < kFrameBytes, "an answer's ranges fit a frame");

}  // namespace espalier::limits
