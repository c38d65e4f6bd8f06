// Every bound of the program, with its reason. What a limit ties to another is asserted at the end.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace espalier::limits {

using namespace std::chrono_literals;

// --- frames
// A control frame's payload. Small enough that a hostile length costs nothing, large enough for 200
// hits.
inline constexpr std::size_t kFrameBytes = 64 * 1024;
inline constexpr std::size_t kFrameHeaderBytes = 4;

// --- strings
inline constexpr std::size_t kPeerIdBytes = 64;  // a file name's worth, fits a line of topo.txt
inline constexpr std::size_t kHostBytes = 255;   // DNS
inline constexpr std::size_t kJoinWordBytes = 256;
inline constexpr std::size_t kPatternBytes = 1024;
inline constexpr std::size_t kPathBytes = 4096;     // PATH_MAX
inline constexpr std::size_t kMessageBytes = 1024;  // an error's sentence on the wire

// --- the tree
inline constexpr unsigned kMinLinks = 2;      // with one link a peer could relay nothing
inline constexpr unsigned kMaxLinks = 64;     // a referral names every child of a full peer
inline constexpr std::size_t kContacts = 16;  // enough to survive many deaths at once
inline constexpr std::size_t kPendingAttaches =
    8;  // joiners a peer keeps waiting for a fresh heartbeat
inline constexpr std::uint64_t kSequenceJump =
    1ull << 32;  // the most that one message may raise a heartbeat number
inline constexpr std::uint64_t kSequenceNumbers = 1ull << 62;  // one more never wraps around
inline constexpr std::uint32_t kDepth = 1u << 20;       // nor one deeper: a line of all members
inline constexpr auto kHeartbeatIntervalLeast = 100ms;  // what a metaserver may ask for
inline constexpr auto kHeartbeatIntervalMost = 10min;
inline constexpr auto kHeartbeatInterval = 2s;
inline constexpr auto kSilence = 6s;    // three heartbeats lost
inline constexpr auto kStall = 1500ms;  // a gap in our own time: we were stopped, not the others
inline constexpr std::size_t kKnownContacts = 64;  // kept for the day when all nearer ones are gone
inline constexpr std::size_t kWalk = 1u << 16;     // referrals that one seeker follows in a pass
inline constexpr auto kSlotRetry = 200ms;          // between two tries of the same place
inline constexpr auto kPassFirst = 300ms;          // between two passes over the contacts: doubles
inline constexpr auto kPassMost = 8s;              // up to this
inline constexpr auto kBecomeRootAfter =
    1s;  // without metaserver and answer: the root of its own tree
inline constexpr auto kReconnectLeast =
    200ms;                                  // to a metaserver that was lost: a storm of peers must
inline constexpr auto kReconnectMost = 5s;  // not come back all at once
inline constexpr std::size_t kRootChildren = 4;  // of the contacts, those beside the ancestors
inline constexpr auto kHoldTimeout = 15s;  // a joiner that waits for a fresh heartbeat from afar
inline constexpr auto kGossipInterval = 50ms;  // counts and lineages are sent at most that often
inline constexpr auto kContactsAfter = 500ms;  // an orphan gives the metaserver that long
inline constexpr auto kSeekAgain = 2s;         // and asks it again that often
inline constexpr auto kAttachTimeout = 2s;     // one attempt; a silent candidate costs this
inline constexpr auto kReferralRetry = 5s;     // a newcomer insists on its place for that long
inline constexpr auto kRejoinWait = 6s;  // a restarted metaserver waits for the peers of before
inline constexpr std::uint64_t kMembers = 1u << 20;  // the registry's size: 2 KiB each, 2 GiB
// Of a metaserver: a line a member, with host and id of full length, order, port, key.
inline constexpr std::uint64_t kStateFileBytes = kMembers * (kHostBytes + kPeerIdBytes + 80);
inline constexpr auto kStateCheck = 500ms;  // is the state folder still there? Six cheap calls
inline constexpr auto kStateAwaited = 3s;   // a removed one comes back within this, or never
inline constexpr std::size_t kDamagedLinesTold = 20;  // of a file of state, in the log
inline constexpr unsigned kDamagedKept = 9;           // damaged files of one name, kept beside it
// What its neighbours make one peer pass on, or raise its heartbeat for: fifty contacts a second
// without a metaserver, and what a storm of joiners needs.
inline constexpr std::size_t kTreeActsPerSecond = 200;

// --- connections
inline constexpr auto kProbeTimeout = 2s;    // a peer of before: does anybody listen there?
inline constexpr int kListenBacklog = 4096;  // a storm of joins
inline constexpr std::size_t kConnections =
    100'000;                               // of one process; the file limit is usually lower
inline constexpr auto kHelloTimeout = 5s;  // a connection that never says what it is for
inline constexpr std::size_t kQueueHighBytes =
    512 * 1024;  // a link's queue: from here its sources are slowed
inline constexpr std::size_t kQueueLowBytes = 128 * 1024;  // and from here no longer
inline constexpr std::size_t kQueueCloseBytes =
    8 * 1024 * 1024;  // a reader that takes nothing at all
// One round of the event loop: large enough that its system calls are shared by many connections,
// small enough that nobody waits long for a busy neighbour.
inline constexpr int kEventsPerRound = 512;
inline constexpr int kAcceptsPerRound = 128;
inline constexpr int kFramesPerRound = 64;             // of one connection
inline constexpr std::size_t kReadBytes = 128 * 1024;  // of one connection, two largest frames
// Functions that other threads have posted to a loop; whoever posts one more waits. Each may hold
// the hits of a search, some 50 KiB.
inline constexpr std::size_t kPostedFunctions = 256;
inline constexpr std::size_t kPendingAnswers =
    64;                                      // of the metaserver, each kind; a prompt asks one
inline constexpr auto kAcceptPause = 100ms;  // out of descriptors: until the next attempt
inline constexpr auto kConnectTimeout = 2s;  // a SYN lost once is sent again after 1 s
inline constexpr auto kGoodbyeTimeout = 2s;  // to take our last words before we close

// --- searches
inline constexpr std::size_t kHitsPerPeer = 200;
inline constexpr std::size_t kHitsPerQuery = 20'000;  // what a peer keeps of what its links bring
// A link brings what so many peers more than are known to be behind it could send, and a quarter
// more: the number is known late while peers join.
inline constexpr std::uint64_t kPeersBehindSlack = 2;
// And each of them may be named as missing, as still indexing, and as having more hits.
inline constexpr std::uint64_t kNamesPerPeer = 3;
// Steps of comparing a hit with its query, a byte of its name: what usual patterns take. And steps
// beyond them, of a link, so many at once, too (20 to 40 ms of the event loop): a pattern made to
// be slow takes 4 million a hit.
inline constexpr std::uint64_t kMatchStepsPerByte = 4;
inline constexpr std::uint64_t kFoldStepsPerByte = 16;  // of a name that is not ASCII, about
inline constexpr double kMatchStepsPerSecond = 20e6;
inline constexpr std::size_t kOpenQueries = 512;  // at one peer
inline constexpr double kQueriesPerSecond = 50;   // a link's token bucket
inline constexpr double kQueryBurst = 200;
inline constexpr std::size_t kCoverageRanges = 4096;  // of join orders in one answer
inline constexpr std::size_t kMissingNamed = 64;      // in one answer
inline constexpr std::size_t kSearchMessageBytes =
    kFrameBytes - 1024;                                     // a link's envelope fits too
inline constexpr std::uint64_t kJoinOrder = 1ull << 48;     // beyond it nobody can have joined
inline constexpr std::size_t kCoverageRangesKept = 16'384;  // a query; of 32,000 peers and more
inline constexpr std::size_t kMissingKept = 1024;           // a query, of those named by others
inline constexpr std::size_t kHoldersKept = 4096;           // a query: who has how many hits
inline constexpr std::uint64_t kMoreHits = 1ull << 32;  // of one peer: it cannot have more files
inline constexpr std::size_t kHitsKeptBytes = 32u
                                              << 20;     // all relayed queries, to repeat on a heal
inline constexpr std::size_t kQueriesQueued = 64;        // a link, beyond its token bucket
inline constexpr std::size_t kQueriesRemembered = 8192;  // finished ones, to stop loops
inline constexpr unsigned kAdoptions = 16;               // a query: each repeats all that is known
inline constexpr std::size_t kBranchesDown = 64;         // a query: links lost while it was open
inline constexpr auto kSearchBudget = 3000ms;            // and for each member
inline constexpr auto kSearchBudgetMember = 250ms;       // a hop down and back across an ocean
inline constexpr auto kSearchBudgetMost = 60'000ms;
inline constexpr auto kSearchHop = 200ms;          // what a hop keeps: its answer has a way to go
inline constexpr auto kSearchBudgetLeast = 100ms;  // a share below it would answer nothing
inline constexpr auto kSearchGrace = 1500ms;       // a lost branch may come back so late
inline constexpr auto kSearchLinger = 2000ms;  // answers are relayed so long after a share's end
inline constexpr auto kCoverageDelay = 50ms;   // coverage alone waits for more

// --- files
inline constexpr std::size_t kBlockBytes = 16 * 1024;    // BEP 52
inline constexpr std::uint64_t kFileBytes = 1ull << 44;  // 16 TiB, ext4's largest
// How files are cut into chunks: see chunkBytesFor().
inline constexpr std::uint64_t kChunkBytesMin = 1ull << 20;
inline constexpr std::uint64_t kChunkBytesMax = 16ull << 20;
inline constexpr std::uint64_t kChunksWanted = 4096;  // a list of 128 KiB

// --- the share
inline constexpr std::size_t kSharedFiles = 1u << 20;  // of one peer: some 200 bytes each
inline constexpr std::size_t kShareListPaths = 1000;   // what a user shared or unshared by hand
inline constexpr std::size_t kShareListBytes = 8 * kShareListPaths * kPathBytes;
// Of a shared file's name, with its folders: what nobody could ask for by its name is not
// announced.
inline constexpr std::size_t kSharedNameBytes = kPatternBytes;
inline constexpr std::size_t kShareCommands = 64;       // share and unshare that wait for the index
inline constexpr std::size_t kPostedNames = 10'000;     // files to look at again; more: a new scan
inline constexpr std::size_t kPostedVersions = 10'000;  // verified files; others are hashed again
inline constexpr std::size_t kRechecks = 64;            // roots that wait to be hashed again
inline constexpr auto kRecheckAgain = 10min;  // of one root: any peer can claim that it is damaged
// Between the verification of a download and its rename, which changes the ctime.
inline constexpr auto kRenameWithin = 10s;
inline constexpr std::size_t kFolderWatches = 100'000;  // of inotify, 1 KiB of the kernel's each
inline constexpr auto kRescanInterval = 30s;            // where folders cannot be watched
inline constexpr auto kFolderCheckInterval =
    2s;  // is the share still there? A stat, so it is cheap
inline constexpr std::size_t kChunkListCacheBytes = 4u << 20;  // lists of files being served
inline constexpr std::size_t kToldPaths = 1000;                // what cannot be shared, remembered
inline constexpr std::size_t kHashReadBytes = 256 * 1024;      // stays in a core's own cache
inline constexpr std::uint64_t kHashSegmentBytes = 64ull << 20;  // of a file that lanes share

// --- transfers
inline constexpr std::uint64_t kFileChunks = kFileBytes / kChunkBytesMax;  // a list of 32 MiB
inline constexpr std::size_t kHashesPerFrame = 1024;                       // 32 KiB, half a frame
inline constexpr std::uint32_t kChunksPerRequest = 1024;  // 1 GiB at least is asked for at once
// Which chunks a holder of parts has: a bit each. Of files above 4 TiB parts are not given on.
inline constexpr std::size_t kHeldBytes = 32 * 1024;
inline constexpr std::size_t kListPageFiles = 256;  // also bounded by the frame
inline constexpr std::size_t kListFiles = 100'000;  // what `list PEER` takes from a peer
// Bytes a second. Below the least a slice takes so long that the other end would give up.
inline constexpr std::uint64_t kRateLeast = 10'000;
inline constexpr std::uint64_t kRateMost = 1'000'000'000'000;
inline constexpr std::size_t kUploadSlots = 8;     // threads that serve
inline constexpr auto kUploadTurn = 10s;           // then whoever is next in the line has it
inline constexpr auto kUploadIdle = 1s;            // sooner where nothing is asked for
inline constexpr std::size_t kUploadQueue = 64;    // askers that wait for a slot
inline constexpr std::size_t kFetchSources = 16;   // threads that fetch one file
inline constexpr std::size_t kFetchHolders = 256;  // of one file, known to its fetch
// Who else holds what is being fetched is asked after so long, and then ever less often.
inline constexpr auto kSeekHoldersFirst = 1s;
inline constexpr auto kSeekHoldersMost = 60s;
inline constexpr auto kHeldInterval = 500ms;  // a holder of parts is asked what it has by now
// Chunks on their way from one source: half a second's at 2 GB/s.
inline constexpr std::size_t kAskedPerSource = 1024;
inline constexpr std::size_t kFetchLanes = 8;             // threads that hash and write one file
inline constexpr std::size_t kChunksForLanes = 4;         // received, and no lane is free yet
inline constexpr std::size_t kAskersPerChunk = 4;         // in the end game, silent ones included
inline constexpr std::size_t kManyFiles = 100'000;        // fetched by one `get DIR/`
inline constexpr std::size_t kManyAhead = 512;            // small files on their way from a holder
inline constexpr std::size_t kManyAheadBytes = 8u << 20;  // and so much of them
inline constexpr std::size_t kManyBatchFiles = 256;       // synced at once: a descriptor each
inline constexpr std::size_t kManyBatchBytes = 16u << 20;
inline constexpr std::size_t kManyFolders = 128;  // kept open
inline constexpr auto kDialTimeout = 5s;          // connecting to a holder, its Welcome
inline constexpr auto kTransferSilence = 15s;     // no byte from a holder, or to an asker
inline constexpr auto kWaitingInterval = 3s;      // a sign of life to askers in the line
inline constexpr auto kPartKept = 24h * 30;       // since an incomplete file last grew
inline constexpr std::size_t kPathDepth = 64;     // components of a shared file's name
inline constexpr std::size_t kNameBytes = 255;    // NAME_MAX

static_assert(kSharedNameBytes <= kPatternBytes, "a name can be asked for");
static_assert(kSharedNameBytes <= kPathBytes, "a name can be announced");
static_assert(2 * kPathDepth - 1 <= kSharedNameBytes && kNameBytes <= kSharedNameBytes);
static_assert(kWaitingInterval * 3 <= kTransferSilence);
static_assert(kHashesPerFrame * 32 + kPathBytes + 64 < kFrameBytes, "a list's part fits a frame");
// --- pushes
inline constexpr std::size_t kPushes = 16;              // a peer takes part in at once
inline constexpr std::size_t kPushesRemembered = 1024;  // those that are over: not taken up again
inline constexpr std::size_t kPushFiles = 2048;         // also bounded by the frame
inline constexpr std::size_t kPushTargets = 256;        // named with --to
inline constexpr std::size_t kPushMessageBytes = kFrameBytes - 1024;  // a link's envelope fits too
inline constexpr std::size_t kPushReasonBytes = 256;
inline constexpr std::size_t kLedgerEntries = 16'384;      // 1 MiB a push, reasons aside
inline constexpr std::uint32_t kLedgerVersion = 1u << 20;  // how often a peer may come back
// So far a version may be ahead of what is known: enough for any history, and a liar needs many
// messages to use up the numbers of somebody else.
inline constexpr std::uint32_t kLedgerVersionJump = 1024;
// Of a link: four a second, and a burst while a chain forms. News of each peer of an arm of the
// tree climbs that arm by itself, and whoever begins the next arm waits for the last of it.
inline constexpr std::size_t kLedgerFlushes = 64;
inline constexpr auto kLedgerWindow = 16s;
inline constexpr auto kLedgerDelay = 5ms;  // a change waits so long for more of its kind, each hop
inline constexpr std::size_t kLedgerFlushBytes = 256 * 1024;  // at once: a link's queue stays short
inline constexpr auto kPushForming = 1s;     // the chain waits so long for those that come before
inline constexpr auto kPushSettling = 5s;    // and so long it may still change by itself
inline constexpr auto kPushGone = 4s;        // a link that was lost may have healed elsewhere
inline constexpr auto kPushSourceRest = 3s;  // a source that failed is not asked again before
inline constexpr auto kPushKept = 10min;     // from the last change on: who comes late gets it, too
inline constexpr auto kPushAwaited = 24h;  // the same, while somebody takes it, as far as is known
// Each hop adds the time of one chunk, and of the list of hashes, which is 1/2,048 of the file and
// at most 8 MiB: from 16 GiB on chunks grow.
inline constexpr std::uint64_t kPushChunkBytes = 64 * 1024;
inline constexpr std::uint64_t kPushListHashes = 1u << 18;
// A chain has so many takers at most, and each behind the first one wants so many chunks: then what
// they wait for each other is 6 % of the time at most, about what connections that share a line
// unfairly cost. Others go along stripes.
inline constexpr std::size_t kPushChainTakers = 32;
inline constexpr std::uint64_t kPushChainChunks = 16;
inline constexpr std::size_t kPushAhead = 256;     // chunks asked for from one source
inline constexpr auto kPushGathering = 2ms;        // of arriving bytes is read at once
inline constexpr std::size_t kPushFilesOpen = 64;  // of one push, on their way in
inline constexpr std::size_t kPushSlots = 16;  // threads that serve pushes; others are told `busy`
inline constexpr auto kPushWaiting = 1s;       // a sign of life to who waits for the next chunk
inline constexpr auto kPushSilence = 5s;       // no byte from a source: another one is asked
inline constexpr auto kPushPatience = 30s;     // signs of life, but no chunk
// More a hop from the sender: the first chunk comes later there, and where a chain stalls whoever
// is nearest finds another source before all behind it look for one, too.
inline constexpr auto kPushPatienceHop = 250ms;
static_assert(kPushWaiting * 3 <= kPushSilence && kPushSilence < kPushPatience);
static_assert(kPushTargets * (kPeerIdBytes + 8) + kPathBytes < kPushMessageBytes);

// --- commands
inline constexpr std::size_t kCommandLineBytes = 64 * 1024;  // a shell's line with many names
inline constexpr std::size_t kCommandWords = 4096;  // a glob that the user's shell expanded
// A command's words, escaped as JSON at 6 bytes each; those that are no UTF-8 also as hexadecimal
// digits.
inline constexpr std::size_t kControlLineBytes = 768 * 1024;
inline constexpr std::size_t kControlOutputBytes = 16 * 1024;  // of text in one line of an answer
inline constexpr std::size_t kControlSessions = 16;  // commands given at once; a thread each
inline constexpr auto kControlGrace = 2s;     // a cancelled command says so within this, or is left
inline constexpr auto kControlProbe = 2s;     // without a byte from a running program: is it alive?
inline constexpr auto kControlPatience = 8s;  // a program that was stopped has so long to answer
inline constexpr std::size_t kBackgroundCommands = 32;  // with &, at one prompt; a thread each
inline constexpr std::size_t kNoticesQueued = 1000;     // while the terminal is stopped (Ctrl-S)
inline constexpr std::size_t kHistoryLines = 500;
inline constexpr std::size_t kCompletions = 200;  // names listed at one press of the Tab key
inline constexpr std::size_t kConfigBytes = 1024 * 1024;  // a configuration file
inline constexpr int kLinkHops = 40;              // symbolic links behind each other, as Linux
inline constexpr auto kDeviceWait = 1s;           // for room in a pipe that takes no more
inline constexpr auto kProgressInterval = 100ms;  // ten redraws a second
inline constexpr auto kEventInterval = 1s;        // of a download's progress as JSON
inline constexpr auto kProgressDelay = 300ms;     // what is over sooner needs no progress bar

static_assert(kControlSessions + kBackgroundCommands < kShareCommands, "none is ever refused");
static_assert(kQueueLowBytes < kQueueHighBytes && kQueueHighBytes < kQueueCloseBytes);
static_assert(kFrameHeaderBytes + kFrameBytes <= kReadBytes);
static_assert(kHeartbeatInterval * 3 <= kSilence);
static_assert(kHeartbeatIntervalLeast <= kHeartbeatInterval &&
              kHeartbeatInterval <= kHeartbeatIntervalMost);
static_assert(kDepth >= kMembers);
static_assert(kPathBytes + kPatternBytes < kFrameBytes);
static_assert(kHashSegmentBytes % kChunkBytesMax == 0 && kChunkBytesMin % kHashReadBytes == 0);
static_assert(kCoverageRanges * 12 < kFrameBytes, "an answer's ranges fit a frame");
static_assert(kPathBytes + kPeerIdBytes + kHostBytes + 200 < kSearchMessageBytes, "a hit fits");

static_assert((kCommandLineBytes + kPathBytes) * 8 < kControlLineBytes &&
              kControlOutputBytes * 6 < kControlLineBytes);

}  // namespace espalier::limits
