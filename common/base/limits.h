// The bounds on outside input (from the network, from users, from files that a user can edit), and
// the timeouts. Each has its reason. Assertions check how limits depend on each other.
// Tuning constants (the length of a pause, the size of a batch, the size above which another method
// is faster) stand beside the code that they tune. tests/tidy (limits_file) recognises a bound by
// its name (kMax…, …Limit, …Timeout, …Capacity), or because a size is compared to it.
//
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace espalier::limits {

using namespace std::chrono_literals;

// --- frames
// The payload of a frame: large enough for 200 hits, small enough that a hostile length does no
// harm.
inline constexpr std::size_t kFrameBytes = 64 * 1024;
inline constexpr std::size_t kFrameHeaderBytes = 4;

// --- strings
inline constexpr std::size_t kPeerIdBytes = 64;     // as a part of a file name
inline constexpr std::size_t kHostBytes = 255;      // DNS
inline constexpr std::size_t kHostLabelBytes = 63;  // RFC 1035
inline constexpr std::size_t kScopeBytes = 15;      // of an address: IFNAMSIZ with its NUL
inline constexpr std::size_t kJoinWordBytes = 256;
inline constexpr std::size_t kPatternBytes = 1024;
inline constexpr std::size_t kPathBytes = 4096;     // PATH_MAX
inline constexpr std::size_t kMessageBytes = 1024;  // an error's sentence on the wire

// --- the tree
inline constexpr unsigned kMinLinks = 2;            // a peer with one link cannot relay
inline constexpr unsigned kMaxLinks = 64;           // a referral names every child of a full peer
inline constexpr std::size_t kContacts = 16;        // enough to survive many deaths at once
inline constexpr std::size_t kPendingAttaches = 8;  // joiners that wait for a fresh heartbeat
// The most by which one message may raise a sequence number: the heartbeats of 17 years, so that
// the trees of one network can always merge. With the bounds of Rate::labels and Rate::raises a
// liar needs 9 years to use up all numbers.
inline constexpr std::uint64_t kSequenceJump = 1ull << 28;
inline constexpr std::uint64_t kSequenceNumbers = 1ull << 62;  // one more never wraps around
inline constexpr std::uint32_t kDepth = 1u << 20;              // a chain of all members
inline constexpr auto kHeartbeatIntervalLeast = 100ms;         // what a metaserver may ask for
inline constexpr auto kHeartbeatIntervalMost = 10min;
inline constexpr auto kHeartbeatInterval = 2s;
inline constexpr auto kMetaserverHeartbeatMost = 30s;  // asked for or not: it is missed in 90 s
inline constexpr auto kSilence = 6s;                   // three heartbeats lost
inline constexpr auto kStall = 1500ms;             // a longer gap in time: this process was stopped
inline constexpr std::size_t kKnownContacts = 64;  // used when all nearer ones are gone
inline constexpr std::size_t kWalk = 1u << 16;     // referrals that one seeker follows in a pass
inline constexpr auto kSlotRetry = 200ms;          // of the same slot
inline constexpr auto kPassFirst = 300ms;          // between two passes over the contacts: doubles
inline constexpr auto kPassMost = 8s;              // up to this
// Without metaserver and without an answer an orphan becomes the root of its own tree.
inline constexpr auto kBecomeRootAfter = 1s;
// Backoff of reconnecting to the metaserver, so that peers do not all come back at once.
inline constexpr auto kReconnectLeast = 200ms;
inline constexpr auto kReconnectMost = 5s;
inline constexpr std::size_t kRootChildren = 4;  // of the contacts, those beside the ancestors
inline constexpr auto kHoldTimeout = 15s;    // a joiner that waits for a heartbeat of a remote root
inline constexpr auto kHeldSlot = 2s;        // then it gives its slot up for one that need not wait
inline constexpr std::size_t kShunned = 64;  // endpoints of strangers that were a parent
inline constexpr auto kGossipInterval = 50ms;  // counts and lineages are sent at most that often
inline constexpr auto kContactsAfter = 500ms;  // before that an orphan asks only the metaserver
inline constexpr auto kSeekAgain = 2s;         // interval at which it asks the metaserver
inline constexpr auto kAttachTimeout = 2s;     // of one attempt
inline constexpr auto kReferralRetry = 5s;     // how long a newcomer retries its slot
inline constexpr auto kRejoinWait = 6s;        // a restarted metaserver waits for its members
inline constexpr std::uint64_t kMembers = 1u << 20;  // the registry's size: 2 KiB each, 2 GiB
// Of a metaserver: a line a member, with host and id of full length, order, port, key.
inline constexpr std::uint64_t kStateFileBytes = kMembers * (kHostBytes + kPeerIdBytes + 80);
inline constexpr auto kStateCheck = 500ms;  // is the state folder there? Six cheap calls
inline constexpr auto kStateAwaited = 3s;   // a removed one comes back within this, or never
inline constexpr std::size_t kDamagedLinesTold = 20;  // of a state file, in the log
inline constexpr std::size_t kMarkerBytes = 4096;     // of a state folder; a newer one may say more
inline constexpr std::size_t kKeyFileBytes = 4096;    // the same
inline constexpr unsigned kDamagedKept = 9;           // copies of damaged files of one name

// --- joining
inline constexpr auto kJoinRetryLeast = 500ms;  // backoff of a peer without a prompt that is
inline constexpr auto kJoinRetryMost = 5s;      // not in the network yet
inline constexpr auto kContestSilence = 3s;     // of a child whose id another joiner claims
inline constexpr auto kRefusedRetry = 5s;       // a member that is refused
inline constexpr unsigned kIdNumbers = 99;      // ID~2 to ID~99: a member whose id another one has
// Members that were lost without a goodbye, kept by the metaserver so that they can come back as
// they were. As many as it can have connections: all may be cut at once.
inline constexpr std::size_t kAbsentMembers = 131'072;
inline constexpr auto kAbsentKept = 10min;
// Orders of joining that a state file may lack after a crash: those given while it was written.
inline constexpr std::uint64_t kOrdersUnwritten = 4096;
inline constexpr auto kUnwrittenBelieved = 30s;  // twice kReconnectMost is enough
// So far above the highest known counter of an epoch may the orders be that a metaserver without
// state believes: a liar uses up one in 8,192 of all counters.
inline constexpr std::uint32_t kCountersBelieved = 1024;

// Peers to which a seeker could not attach, as the metaserver remembers them: more than a pass.
inline constexpr std::size_t kFailedReferrals = 8;
inline constexpr std::size_t kWaitingRequests = 64;  // of a session that is over its budget

// --- the directory of several metaservers
// Absent members in a copy of it: those of a state file, and those that were lost.
inline constexpr std::uint64_t kAbsentCopied = kMembers + kAbsentMembers;
// Of a delta or a page of a snapshot, as directory.h estimates it; one more row still fits a frame.
inline constexpr std::size_t kDirectoryMessageBytes = 48 * 1024;
// Of the answer to a pull: it does not close the link's queue to the sender of other messages.
inline constexpr std::size_t kPullAnswerBytes = 384 * 1024;
// Of the latest deltas, for those who ask again; whoever is farther behind gets a snapshot.
inline constexpr std::size_t kDeltasKeptBytes = 4u << 20;
inline constexpr auto kPullTimeout = 2s;  // without a page of the answer
// Backoff of pulls that were not answered, or whose answer was refused.
inline constexpr auto kPullAgainLeast = 100ms;
inline constexpr auto kPullAgainMost = 5s;
// Of a member, in its row of the directory and in its home.
inline constexpr std::size_t kRoomsOfPeer = 32;
// A row: id, host, links, rooms, and 160 bytes for all numbers, the key and the tags of the fields.
inline constexpr std::size_t kDirectoryRowBytes = 160 + kPeerIdBytes + kHostBytes +
                                                  kMaxLinks * (kPeerIdBytes + 4) +
                                                  kRoomsOfPeer * (kPeerIdBytes + 4);
static_assert(kDirectoryMessageBytes + kDirectoryRowBytes + 1024 < kFrameBytes);
// Of the log of a database. A reader keeps it from being folded into the database; beyond this
// nothing is written until the reader has finished.
inline constexpr std::uint64_t kDatabaseLogBytes = 64u << 20;

// --- connections
inline constexpr auto kProbeTimeout = 2s;         // does an absent member still listen?
inline constexpr std::size_t kProbes = 256;       // at once; as many for lost members wait
inline constexpr std::size_t kDialBacks = 32;     // at once, which test whether peers are reachable
inline constexpr std::size_t kLookUps = 16;       // of hosts' names, at once: a thread each
inline constexpr std::size_t kLookUpsKept = 4;    // of them, for names that this user gave
inline constexpr std::size_t kHostAddresses = 8;  // of one name: more than a machine has
inline constexpr auto kLookUpPatience = 10s;      // the system's for two servers
inline constexpr int kListenBacklog = 4096;       // a storm of joins
inline constexpr std::size_t kConnections = 100'000;  // the limit of descriptors is usually lower
inline constexpr auto kHelloTimeout = 5s;             // for the first frame of a connection
// A link's send queue: above the first its sources are slowed down, below the second no longer. At
// the third the link is closed, because the other end does not read.
inline constexpr std::size_t kQueueHighBytes = 512 * 1024;
inline constexpr std::size_t kQueueLowBytes = 128 * 1024;
inline constexpr std::size_t kQueueCloseBytes = 8 * 1024 * 1024;
// One round of the event loop: large enough that its system calls are shared by many connections,
// small enough that no connection waits long for a busy one.
inline constexpr int kEventsPerRound = 512;
inline constexpr int kAcceptsPerRound = 128;
inline constexpr int kFramesPerRound = 64;                // of one connection
inline constexpr std::size_t kReadBytes = 128 * 1024;     // of one connection, two largest frames
inline constexpr std::size_t kUnreadAnswers = 64 * 1024;  // bytes; then no more requests are read
inline constexpr auto kFrameTimeout = 10s;  // from the first byte of a frame to its last one
// Posted to a loop; one more blocks its thread. Each may hold the hits of a search, some 50 KiB.
inline constexpr std::size_t kPostedFunctions = 256;
inline constexpr std::size_t kPendingAnswers = 64;  // of the metaserver, of each kind
inline constexpr std::size_t kOpenRequests = 1024;  // with those of the core
inline constexpr auto kAcceptPause = 100ms;  // until the next attempt when descriptors ran out
inline constexpr auto kConnectTimeout = 2s;  // a SYN lost once is sent again after 1 s
inline constexpr auto kGoodbyeTimeout = 2s;  // for the last bytes before a close

// --- several metaservers
inline constexpr std::size_t kMetaservers = 16;  // a full mesh: 120 connections
inline constexpr auto kMeshBeat = 500ms;         // of each metaserver to each other one
inline constexpr auto kMeshBeatLeast = 50ms;     // a change is told at once, but not more often
inline constexpr auto kMeshSilence = 2000ms;     // four beats lost: the link is down
inline constexpr auto kMeshDeaf = 6s;            // a connection so long without beats is closed
inline constexpr std::size_t kClusterSecretBytes = 4096;
inline constexpr std::size_t kClusterSecretLeastBytes = 8;
inline constexpr auto kServerDial = 1s;  // each address of a metaserver that is not linked
inline constexpr std::size_t kServerAddresses = 64;
inline constexpr auto kClusterStart = 5s;  // a new metaserver looks for a network so long
inline constexpr auto kMovingSpread = 2s;  // in which the peers of one that ends are handed on
inline constexpr auto kMovingWait = 10s;
inline constexpr auto kHandover = 1s;  // a master waits so long for the epoch of its heir
inline constexpr std::size_t kPausedBatches = 64;  // of requests, that wait behind a stall
inline constexpr auto kVacancy = 100ms;   // between a master's death and the next: states arrive
inline constexpr auto kMeshForget = 15s;  // a state without news; no state travels so long
inline constexpr std::size_t kMeshStrangers = 16;      // states of those that are out of reach
inline constexpr std::size_t kMeshConnections = 4;     // with one metaserver, until one is kept
inline constexpr std::size_t kServerStateBytes = 640;  // on the wire, with all fields at their most
inline constexpr std::size_t kServerVersionBytes = 32;
inline constexpr std::uint32_t kServerPriority = 1'000'000;
inline constexpr std::size_t kSettings = 16;  // that metaservers compare when they link
inline constexpr std::size_t kSettingNameBytes = 32;
inline constexpr std::size_t kSettingValueBytes = 128;
inline constexpr std::uint32_t kEpochCounter = (1u << 23) - 1;  // changes of masters
// The members of a dead home, or of the directory of a dead master, stay in the tree so long: their
// peers try other metaservers. Where heartbeats are longer: three of those.
inline constexpr auto kAwayWait = 10s;
// Of a home's sessions, counted from its start: leaves 17 bits of a ConnectionId.
inline constexpr std::uint64_t kSessionNumber = (1ull << 47) - 1;
inline constexpr std::size_t kSessionBatch = 4096;  // messages about sessions, in one frame
// How often a metaserver moves to another port by itself, as an option says.
inline constexpr auto kMigrateEveryLeast = 1s;
inline constexpr auto kMigrateEveryMost = 24h * 366;
// State folders of metaservers in one folder that `-e` looks into; each costs a connection.
inline constexpr std::size_t kStateFoldersTried = 256;
static_assert(kMeshBeatLeast < kMeshBeat && kMeshBeat * 4 <= kMeshSilence);
static_assert(kMeshSilence < kMeshDeaf);
static_assert(kMeshSilence + kMeshBeat * kMetaservers <= kMeshForget);
static_assert(kPeerIdBytes + kHostBytes + 5 * kMetaservers + 150 <= kServerStateBytes);
static_assert(kMetaservers * kServerStateBytes < kFrameBytes, "a beat fits a frame");

// --- rooms
inline constexpr std::size_t kRoomTextBytes = 4096;  // of UTF-8, of one message
inline constexpr std::size_t kRooms = 1000;          // of a network
inline constexpr std::size_t kRoomMessages = 1000;   // kept of a room, or those of 30 days
inline constexpr auto kRoomKept = 24h * 30;          // since a message was sent
// In a busy room, too: so long what its author repeats at another home is recognised.
inline constexpr auto kRoomKeptLeast = 1min;
inline constexpr std::uint64_t kRoomsBytes = 1u << 30;     // of all messages of all rooms
inline constexpr double kRoomRate = 5;                     // messages of a peer a second
inline constexpr double kRoomRateMost = 1e6;               // what an option may say
inline constexpr double kRoomBurst = 20;                   // and so many at once
inline constexpr std::size_t kRoomSays = 256;              // of a peer, not acknowledged yet
inline constexpr std::size_t kRoomSaysHeld = 16'384;       // at a home, of all its peers
inline constexpr std::size_t kRoomWaiting = 65'536;        // at the master, not stored twice yet
inline constexpr std::size_t kRoomBatchBytes = 48 * 1024;  // of messages in a frame, by estimate
inline constexpr std::size_t kRoomBatch = 512;             // messages in a frame
inline constexpr std::size_t kRoomPartBytes = 384 * 1024;  // sent at once to one that pulls
// Text of messages that are not delivered yet; beyond it is read from the disk again.
inline constexpr std::size_t kRoomPendingBytes = 8u << 20;
inline constexpr std::size_t kRoomRests = 50;    // of rooms that have lapsed in part, in a frame
inline constexpr std::size_t kRoomEpochs = 256;  // of a log that are remembered
inline constexpr std::size_t kRoomMarks = 16;    // of them that one who pulls tells
inline constexpr std::size_t kRoomPlaces = 8;    // of a room that a peer remembers and tells
inline constexpr auto kRoomGather = 2s;          // a new master waits so long for others' logs
inline constexpr auto kRoomBeat = 500ms;         // the master's position to the others
inline constexpr auto kRoomPullTimeout = 2s;     // of the answer to a pull
inline constexpr auto kRoomApartRetry = 1s;      // messages of another side, to the master
inline constexpr auto kRoomAskTimeout = 5s;      // of a peer's question to its home
inline constexpr std::size_t kRoomMembersTold = 100;  // in larger rooms nobody is told who comes
inline constexpr std::size_t kRoomListPage = 256;     // rooms, or members of one, in an answer
// Entries that are not on the disk yet; beyond it a metaserver takes no more of them.
inline constexpr std::size_t kRoomUnsyncedBytes = 64u << 20;
inline constexpr std::size_t kRoomReads = 1024;     // that wait for the disk; more are dropped
inline constexpr std::size_t kRoomReadsOfPeer = 8;  // of them, for one connection
inline constexpr auto kRoomDiskRetry = 1s;          // after a failure of the disk
static_assert(kRoomTextBytes + 512 < kFrameBytes - kRoomBatchBytes, "one more fits a frame");
static_assert(kRoomBatchBytes <= kRoomPartBytes && kRoomPartBytes < kQueueHighBytes);
static_assert(kRoomListPage * (2 * kPeerIdBytes + 32) < kFrameBytes, "a page of a list fits");
static_assert(kRoomReadsOfPeer <= kRoomReads && kRoomPendingBytes <= kRoomUnsyncedBytes);
static_assert(kRoomBeat < kMeshSilence && kRoomGather <= kRoomPullTimeout);

// --- masters by etcd
inline constexpr auto kEtcdLease = 3s;    // etcd grants 2 s at least, more with slow elections
inline constexpr auto kEtcdRenewal = 1s;  // from one renewal to the next
// A lease is not used in its last part: for clocks that run differently (by 20 % together), and so
// that a master has stepped down before etcd lets another one in.
inline constexpr auto kEtcdLeaseMargin = 600ms;
inline constexpr auto kEtcdRenewalTimeout = 500ms;   // at one etcd: two silent ones leave time
inline constexpr auto kEtcdTimeout = 1s;             // of any other request at one etcd
inline constexpr auto kEtcdPatience = 2s;            // of a request at all etcds
inline constexpr auto kEtcdRetry = 200ms;            // after a failure
inline constexpr auto kEtcdReadAgain = 2s;           // in case a watch is silent because it is dead
inline constexpr std::size_t kEtcdRenewals = 3;      // not answered yet
inline constexpr std::size_t kEtcdRequests = 64;     // not answered yet, of one metaserver
inline constexpr std::size_t kEtcdKeysWatched = 64;  // candidates, the master, an heir
inline constexpr std::size_t kEtcdKeyBytes = 512;    // with a HOST:PORT in it
inline constexpr std::size_t kEtcdPrefixBytes = 64;  // of all keys of a cluster
inline constexpr std::size_t kEtcdValueBytes = 4096;    // of one key
inline constexpr std::size_t kEtcdPageKeys = 1000;      // of one answer, if more were asked for
inline constexpr std::size_t kEtcdPages = 8;            // asked for at once
inline constexpr std::size_t kPromiseOperations = 120;  // of a transaction; etcd takes 128
inline constexpr std::size_t kPromisesWaiting = 4096;   // of a master, until etcd has them
inline constexpr std::size_t kEtcdAnswerBytes = 16u << 20;
inline constexpr std::size_t kEtcdUrls = 16;
inline constexpr std::size_t kEtcdUrlBytes = 1024;
static_assert(kEtcdRenewal + 2 * kEtcdRenewalTimeout < kEtcdLease - kEtcdLeaseMargin);
static_assert(kEtcdPatience + kEtcdRetry < kEtcdLease);
static_assert(kEtcdPageKeys * (kEtcdKeyBytes + kEtcdValueBytes + 512) * 4 / 3 < kEtcdAnswerBytes,
              "a page in base64");

// --- sessions and statistics
inline constexpr auto kSessionAway = kAwayWait;  // a session ends when its peer is away for longer
inline constexpr auto kSessionsSeen = 3s;        // the open ones are written down so often
inline constexpr std::size_t kSessionBatchRows = 1024;               // that are written at once
inline constexpr std::size_t kSessionRowsWaiting = 65'536;           // while they cannot be written
inline constexpr std::size_t kRatingsWaiting = 4096;                 // likewise
inline constexpr std::size_t kSessionRows = 1u << 20;                // on disk
inline constexpr std::size_t kRatingRows = 1u << 16;                 // likewise
inline constexpr std::size_t kRatingBytes = 1024;                    // of its text
inline constexpr std::size_t kStatisticsDays = 366;                  // in memory, and in an answer
inline constexpr std::uint32_t kStatisticsDate = (1u << 22) - 1;     // days since 1970
inline constexpr std::uint64_t kStatisticsCount = (1ull << 53) - 1;  // JSON's readers know it
inline constexpr std::uint32_t kStatisticsServers = kServerAddresses + kMetaservers;
inline constexpr std::size_t kStatisticsRounds = 64;  // under way
inline constexpr auto kStatisticsWait = 2s;           // for the other metaservers

// --- the metaservers that a peer knows
inline constexpr std::size_t kMetaserversTold = kMetaservers - 1;  // by one of them: the others
// By one peer: those that were given and told, its home, and the one that it is sent to.
inline constexpr std::size_t kMetaserversKnown = kMetaservers + kMetaserversTold + 2;
inline constexpr auto kHomeLostSpread = 2s;       // in which the peers of a dead home go elsewhere
inline constexpr auto kAdmissionPatience = 10s;   // of a member that knows other metaservers
inline constexpr auto kOtherNetworkRetry = 1min;  // of a metaserver of another network
// Of an address that a metaserver told, where nobody admits this peer: doubles.
inline constexpr auto kToldRetryLeast = 5s;
inline constexpr auto kToldRetryMost = 30s;
inline constexpr unsigned kRedirects = 3;   // that a peer follows in a row
inline constexpr auto kRedirectStay = 10s;  // where it was admitted, then it counts anew
// After a redirect that led to nobody who admits this peer, none is followed: doubles.
inline constexpr auto kRedirectRetryLeast = 1s;
inline constexpr auto kRedirectRetryMost = 2min;

// --- searches
inline constexpr std::size_t kHitsPerPeer = 200;
inline constexpr std::size_t kHitsPerQuery = 20'000;  // kept of those that arrive over all links
// Hits of a link are accepted for so many peers more than are known behind it, and for a quarter
// more, because the number is known late while peers join.
inline constexpr std::uint64_t kPeersBehindSlack = 2;
// Each of them may be named as missing, as still indexing, and as having more hits.
inline constexpr std::uint64_t kNamesPerPeer = 3;
// Steps of comparing a hit with its query, for a byte of its name: enough for usual patterns.
// Beyond that a link has so many steps a second, and as a burst (20 to 40 ms of the event loop): a
// pattern made to be slow takes 4 million for a hit.
inline constexpr std::uint64_t kMatchStepsPerByte = 4;
inline constexpr std::uint64_t kFoldStepsPerByte = 16;  // about, of names beyond ASCII
inline constexpr double kMatchStepsPerSecond = 20e6;
inline constexpr std::size_t kOpenQueries = 512;  // at one peer
inline constexpr double kQueriesPerSecond = 50;   // a link's token bucket
inline constexpr double kQueryBurst = 200;
inline constexpr std::size_t kCoverageRanges = 4096;  // of join orders in one answer
inline constexpr std::size_t kMissingNamed = 64;      // in one answer
inline constexpr std::size_t kSearchMessageBytes = kFrameBytes - 1024;  // in a link's envelope
inline constexpr std::uint64_t kJoinOrder = (1ull << 63) - 1;  // no peer can have a higher one
inline constexpr std::size_t kCoverageRangesKept = 16'384;     // a query; of 32,000 peers and more
inline constexpr std::size_t kMissingKept = 1024;              // a query, of those named by others
inline constexpr std::size_t kHoldersKept = 4096;              // a query: how many hits each has
inline constexpr std::uint64_t kMoreHits = 1ull << 32;  // of one peer; it cannot share more files
// Of all relayed queries, to repeat them after a heal.
inline constexpr std::size_t kHitsKeptBytes = 32u << 20;
inline constexpr std::size_t kQueriesQueued = 64;        // a link, beyond its token bucket
inline constexpr std::size_t kQueriesRemembered = 8192;  // finished ones, to stop loops
inline constexpr unsigned kAdoptions = 16;               // a query: each repeats all that is known
inline constexpr std::size_t kBranchesDown = 64;         // a query: links lost while it was open
inline constexpr auto kSearchBudget = 3000ms;            // and for each member
inline constexpr auto kSearchBudgetMember = 250ms;       // a hop down and back across an ocean
inline constexpr auto kSearchBudgetMost = 60'000ms;
inline constexpr auto kSearchHop = 200ms;          // a hop keeps this for the way of its answer
inline constexpr auto kSearchBudgetLeast = 100ms;  // no peer could answer in less
inline constexpr auto kSearchGrace = 1500ms;       // for a lost branch to come back
inline constexpr auto kSearchLinger = 2000ms;      // in which late answers are relayed
inline constexpr auto kCoverageDelay = 50ms;       // coverage without hits waits for more

// --- files
inline constexpr std::size_t kBlockBytes = 16 * 1024;    // BEP 52
inline constexpr std::uint64_t kFileBytes = 1ull << 44;  // 16 TiB, ext4's largest
// How files are cut into chunks: see chunkBytesFor().
inline constexpr std::uint64_t kChunkBytesMin = 1ull << 20;
inline constexpr std::uint64_t kChunkBytesMax = 16ull << 20;
inline constexpr std::uint64_t kChunksWanted = 4096;  // a list of 128 KiB

// --- the share
inline constexpr std::size_t kSharedFiles = 1u << 20;  // of one peer: some 200 bytes each
inline constexpr std::size_t kShareListPaths = 1000;   // shared or unshared by commands
inline constexpr std::size_t kShareListBytes = 8 * kShareListPaths * kPathBytes;
// A shared file's name with its folders. A file whose name does not fit into a query is not
// announced.
inline constexpr std::size_t kSharedNameBytes = kPatternBytes;
inline constexpr std::size_t kShareCommands = 64;       // share and unshare that wait for the index
inline constexpr std::size_t kPostedNames = 10'000;     // files to check again; else a new scan
inline constexpr std::size_t kPostedVersions = 10'000;  // verified files; others are hashed again
inline constexpr std::size_t kRechecks = 64;            // roots that wait to be hashed again
inline constexpr auto kRecheckAgain = 10min;  // of one root: any peer can report it as damaged
// Between the verification of a download and its rename. The rename changes the ctime.
inline constexpr auto kRenameWithin = 10s;
inline constexpr std::size_t kFolderWatches = 100'000;  // of inotify, 1 KiB of the kernel's each
inline constexpr auto kRescanInterval = 30s;            // where folders cannot be watched
inline constexpr auto kFolderCheckInterval = 2s;        // whether the share still exists: one stat
inline constexpr std::size_t kChunkListCacheBytes = 4u << 20;    // lists of files being served
inline constexpr std::size_t kToldPaths = 1000;                  // reported as not shareable
inline constexpr std::size_t kHashReadBytes = 256 * 1024;        // fits the cache of a core
inline constexpr std::uint64_t kHashSegmentBytes = 64ull << 20;  // of a file, for one lane

// --- transfers
inline constexpr std::uint64_t kFileChunks = kFileBytes / kChunkBytesMax;  // a list of 32 MiB
inline constexpr std::size_t kHashesPerFrame = 1024;                       // 32 KiB, half a frame
inline constexpr std::uint32_t kChunksPerRequest = 1024;  // 1 GiB at least is asked for at once
// The chunks that a holder of a part has, one bit each. Parts of files above 4 TiB are not served.
inline constexpr std::size_t kHeldBytes = 32 * 1024;
inline constexpr std::size_t kListPageFiles = 256;  // also bounded by the frame
inline constexpr std::size_t kListFiles = 100'000;  // read by `list PEER` from a peer
inline constexpr auto kListPatience = 10min;        // for all of them
// Bytes a second. Below the least one slice takes so long that the other end times out.
inline constexpr std::uint64_t kRateLeast = 10'000;
inline constexpr std::uint64_t kRateMost = 1'000'000'000'000;
inline constexpr std::size_t kUploadSlots = 8;  // threads that serve
inline constexpr auto kUploadTurn = 200ms;      // then the next asker in the queue gets the slot
inline constexpr std::size_t kUploadConnections = 512;           // a socket and an open file each
inline constexpr std::size_t kUploadQueue = kUploadConnections;  // askers beyond the slots
// Of an asker that takes its answers more slowly, the place is given to others that come when all
// are taken: a third of a minute for a chunk.
inline constexpr std::uint64_t kUploadRateLeast = 64 * 1024;
inline constexpr auto kUploadDeaf = 2s;  // no byte taken for so long: the place is given to others
inline constexpr std::size_t kTransferRequestBytes = kPathBytes + 64;  // a name is the longest part
inline constexpr std::size_t kFetchSources = 16;   // threads that fetch one file
inline constexpr std::size_t kFetchHolders = 256;  // of one file, known to its fetch
// Backoff of searching for more holders of a file that is being fetched.
inline constexpr auto kSeekHoldersFirst = 1s;
inline constexpr auto kSeekHoldersMost = 60s;
inline constexpr auto kHeldInterval = 500ms;  // between two requests for a holder's chunks
// Chunks on their way from one source: half a second's at 2 GB/s.
inline constexpr std::size_t kAskedPerSource = 1024;
inline constexpr std::size_t kFetchLanes = 8;             // threads that hash and write one file
inline constexpr std::size_t kChunksForLanes = 4;         // received before a lane is free
inline constexpr std::size_t kAskersPerChunk = 4;         // in the end game, silent ones included
inline constexpr std::size_t kManyFiles = 100'000;        // fetched by one `get DIR/`
inline constexpr std::size_t kManyAhead = 512;            // small files on their way from a holder
inline constexpr std::size_t kManyAheadBytes = 8u << 20;  // and their total size
inline constexpr std::size_t kManyBatchFiles = 256;       // synced at once: a descriptor each
inline constexpr std::size_t kManyBatchBytes = 16u << 20;
inline constexpr std::size_t kManyFolders = 128;  // kept open
inline constexpr auto kDialTimeout = 5s;          // for a connection to a holder and its Welcome
inline constexpr auto kTransferSilence = 15s;     // no byte from a holder, or to an asker
inline constexpr auto kWaitingInterval = 3s;      // a sign of life to askers in the queue
// Signs of life in place of an answer. Holders of version 1.2 and before have turns of 10 s, and 64
// askers for 8 slots.
inline constexpr auto kWaitingPatience = 2min;
// A holder that sends an answer more slowly is given up, by the time spent waiting for it.
inline constexpr std::uint64_t kFetchRateLeast = 100;
inline constexpr auto kFetchRateWindow = 30s;
// While others wait for a thread, a source that delivered less loses its own after that time.
inline constexpr std::uint64_t kFetchRateReplaced = 64 * 1024;
inline constexpr auto kFetchReplacedAfter = 5s;
inline constexpr auto kPartKept = 24h * 30;     // since an incomplete file last grew
inline constexpr std::size_t kPathDepth = 64;   // components of a shared file's name
inline constexpr std::size_t kNameBytes = 255;  // NAME_MAX

static_assert(kSharedNameBytes <= kPatternBytes, "a name can be asked for");
static_assert(kSharedNameBytes <= kPathBytes, "a name can be announced");
static_assert(2 * kPathDepth - 1 <= kSharedNameBytes && kNameBytes <= kSharedNameBytes);
static_assert(kWaitingInterval * 3 <= kTransferSilence);
static_assert(kHashesPerFrame * 32 + kPathBytes + 64 < kFrameBytes, "a list's part fits a frame");
// --- pushes
inline constexpr std::size_t kPushes = 16;              // a peer takes part in at once
inline constexpr std::size_t kPushesRemembered = 1024;  // ended pushes
inline constexpr std::size_t kPushFiles = 2048;         // also bounded by the frame
inline constexpr std::size_t kPushTargets = 256;        // named with --to
inline constexpr std::size_t kPushMessageBytes = kFrameBytes - 1024;  // a link's envelope fits too
inline constexpr std::size_t kPushReasonBytes = 256;
// Unended pushes of one neighbour that are passed on over one link: one that floods takes half of
// the places behind that link at most.
inline constexpr std::size_t kPushesRelayed = 8;
inline constexpr auto kPushOfferRetry = 250ms;  // of an offer that had to wait
// An offer that the neighbour does not answer, because it had no place: sent again after this time,
// after twice as long, and so on, so often.
inline constexpr auto kPushOfferAgain = 15s;
inline constexpr unsigned kPushOffersAgain = 6;
inline constexpr std::size_t kLedgerEntries = 16'384;  // 1 MiB a push, reasons aside
// Of them for this peer and its neighbours only: no neighbour can keep them out.
inline constexpr std::size_t kLedgerReserved = 256;
inline constexpr std::uint32_t kLedgerVersion = 0xffff'ffff;
// How large a version may be, from when the push began: so many, and so many a second. They are
// never used up while a push lasts.
inline constexpr std::uint32_t kLedgerVersionsAtOnce = 1u << 20;
inline constexpr std::uint32_t kLedgerVersionsPerSecond = 8192;
// A link names more peers than are behind it, if peers have left or moved since. Of each peer that
// is behind it now, so many are taken in, at Rate::pushNames: a liar fills 1/64 of a ledger.
inline constexpr std::uint64_t kLedgerMoved = 256;
inline constexpr auto kLedgerNamesRetry = 1s;  // of entries that are too many for now
// Of a link: entries that wait until they may enter the ledger.
inline constexpr std::size_t kClaimsHeld = 4096;
// An end that does not come from the direction of the sender is believed after this time, unless
// the sender contradicts. So is a neighbour's loss that others tell, unless the neighbour does.
inline constexpr auto kPushEndDoubted = 5s;
// An unended push that neither this peer nor the one that it came from has received gives its place
// to another one after this time without change. So does one of which no chunk arrives.
inline constexpr auto kPushIdle = 60s;
// Flushes of a link: four a second, and a burst while a chain forms. The entry of each peer of a
// branch climbs that branch by itself, and the next branch waits for the last of them.
inline constexpr std::size_t kLedgerFlushes = 64;
inline constexpr auto kLedgerWindow = 16s;
inline constexpr auto kLedgerDelay = 5ms;  // a change waits for further changes, each hop
inline constexpr std::size_t kLedgerFlushBytes = 256 * 1024;  // at once: a link's queue stays short
inline constexpr auto kPushForming = 1s;     // how long the chain waits for earlier peers
inline constexpr auto kPushSettling = 5s;    // how long it may still change by itself
inline constexpr auto kPushGone = 4s;        // a link that was lost may have healed elsewhere
inline constexpr auto kPushSourceRest = 3s;  // until a failed source is asked again
inline constexpr auto kPushKept = 10min;     // after the last change, for late joiners
inline constexpr auto kPushAwaited = 24h;    // the same while a peer still receives it
// Each hop adds the time of one chunk, and of the list of hashes, which is 1/2,048 of the file and
// at most 8 MiB: from 16 GiB on chunks grow.
inline constexpr std::uint64_t kPushChunkBytes = 64 * 1024;
inline constexpr std::uint64_t kPushListHashes = 1u << 18;
// A chain has at most so many receivers, and needs so many chunks for each of them but the first.
// Then waiting for each other costs at most 6 % of the time, about as much as the unfairness of
// connections that share a line. Other pushes use stripes.
inline constexpr std::size_t kPushChainTakers = 32;
inline constexpr std::uint64_t kPushChainChunks = 16;
inline constexpr std::size_t kPushAhead = 256;     // chunks asked for from one source
inline constexpr auto kPushGathering = 2ms;        // arriving bytes of that time are read at once
inline constexpr std::size_t kPushFilesOpen = 64;  // of one push, on their way in
inline constexpr std::size_t kPushSlots = 16;      // threads that serve pushes; else `busy`
inline constexpr auto kPushWaiting = 1s;           // a sign of life to a receiver that waits
inline constexpr auto kPushSilence = 5s;           // no byte from a source: the receiver changes it
inline constexpr auto kPushPatience = 30s;         // signs of life, but no chunk
// In addition for each hop from the sender: the first chunk arrives later there, and if a chain
// stalls, the nearest peer changes its source before all peers behind it do.
inline constexpr auto kPushPatienceHop = 250ms;
static_assert(kPushWaiting * 3 <= kPushSilence && kPushSilence < kPushPatience);
static_assert(kPushTargets * (kPeerIdBytes + 8) + kPathBytes < kPushMessageBytes);

// --- rooms at a peer
// Questions for the history under way; each has at most kRoomMessages in memory.
inline constexpr std::size_t kRoomHistories = 8;
// Messages that have come and wait for its disk; one more is not shown, and its number is told.
inline constexpr std::size_t kRoomShowsQueued = 4096;
inline constexpr auto kRoomWriteInterval = 100ms;  // of transactions of rooms.db
inline constexpr auto kRoomPatience = 10s;         // of a command, for the answer of the home
inline constexpr std::size_t kRoomWatched = 2000;  // events for one `watch` that reads slowly
inline constexpr auto kBellInterval = 1s;          // at most one bell

// --- private messages
inline constexpr std::size_t kPrivateTextBytes = 4096;  // a screen full
// In the outbox, for all recipients together: 4 MiB in memory.
inline constexpr std::size_t kPrivateOutbox = 1000;
inline constexpr auto kPrivateKept = 24h * 30;  // in the outbox
// With other instances, those that were ignored included: 1 MiB in memory.
inline constexpr std::size_t kPrivateConversations = 4096;
inline constexpr std::size_t kPrivateMessages = 1000;  // of one conversation on the disk
// Of all conversations on the disk, each message with kPrivateRowBytes.
inline constexpr std::size_t kPrivateBytes = 64u << 20;
inline constexpr std::size_t kPrivateRowBytes = 128;
inline constexpr std::size_t kPrivateIgnored = 1000;
inline constexpr std::size_t kPrivateShown = 1000;  // of a conversation, by one command
// Sent and not acknowledged: a round trip and a sync of the disk are worth so many.
inline constexpr std::size_t kPrivateWindow = 16;
inline constexpr std::size_t kPrivateSenders = 256;    // connected at once
inline constexpr std::size_t kPrivateRecipients = 32;  // dialled or connected at once
inline constexpr std::size_t kPrivateLookUps = 64;     // at the metaserver, not answered yet
inline constexpr std::size_t kPrivateWrites = 1024;    // that are not durable yet
inline constexpr std::size_t kPrivateRequests = 64;    // of commands that wait for an answer
inline constexpr auto kPrivateIdle = 60s;              // then a connection is closed
inline constexpr auto kPrivateAnswer = 15s;            // of the other end, its disk included
// Pauses between attempts to reach a recipient. One that comes back is reached within the most.
inline constexpr auto kPrivateRetryLeast = 500ms;
inline constexpr auto kPrivateRetryMost = 30s;
// When a network of at most so many members grows, recipients are looked up within that pause: one
// of them may have come back.
inline constexpr std::uint64_t kPrivateSmallNetwork = 256;
inline constexpr auto kPrivateNewcomer = 2s;
inline constexpr auto kPrivatePatience = 10s;  // of a command, for `delivered`
static_assert(kPrivateOutbox >= kPrivateMessages && kPrivateTextBytes * 2 < kFrameBytes);

// --- commands
inline constexpr std::size_t kCommandLineBytes = 64 * 1024;  // a shell's line with many names
inline constexpr std::size_t kCommandWords = 4096;  // a glob that the user's shell expanded
// A command's words, escaped as JSON at 6 bytes each; those that are no UTF-8 also as hexadecimal
// digits.
inline constexpr std::size_t kControlLineBytes = 768 * 1024;
inline constexpr std::size_t kControlOutputBytes = 16 * 1024;  // of text in one line of an answer
inline constexpr std::size_t kControlSessions = 16;  // commands given at once; a thread each
inline constexpr auto kControlGrace = 2s;            // for a cancelled command to end
inline constexpr auto kControlProbe = 2s;     // of silence before a running program is probed
inline constexpr auto kControlPatience = 8s;  // for a program that was stopped to answer
inline constexpr std::size_t kControlMessages = 64;  // unread; a client sends one and waits
inline constexpr std::size_t kEventsQueued = 256;    // for one slow subscriber
inline constexpr std::size_t kHeardNames = 10'000;   // of files, for completion
inline constexpr std::size_t kHeardNamesBytes = 1 << 20;
inline constexpr std::size_t kBackgroundCommands = 32;  // with &, at one prompt; a thread each
inline constexpr std::size_t kNoticesQueued = 1000;     // while the terminal is stopped (Ctrl-S)
inline constexpr std::size_t kHistoryLines = 500;
inline constexpr std::size_t kCompletions = 200;  // names listed at one press of the Tab key
inline constexpr std::size_t kConfigBytes = 1024 * 1024;  // a configuration file
inline constexpr int kLinkHops = 40;              // symbolic links behind each other, as Linux
inline constexpr auto kDeviceWait = 1s;           // for room in a pipe that takes no more
inline constexpr auto kProgressInterval = 100ms;  // ten redraws a second
inline constexpr auto kEventInterval = 1s;        // of a download's progress as JSON
inline constexpr auto kProgressDelay = 300ms;     // a shorter command gets no progress bar

// --- what depends on several of them
static_assert(kControlSessions + kBackgroundCommands < kShareCommands, "none is ever refused");
static_assert(kQueueLowBytes < kQueueHighBytes && kQueueHighBytes < kQueueCloseBytes);
static_assert(kFrameHeaderBytes + kFrameBytes <= kReadBytes);
static_assert(kDirectoryMessageBytes < kPullAnswerBytes && kPullAnswerBytes < kQueueHighBytes);
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
static_assert(kRejoinWait < kAbsentKept && kAbsentMembers >= kConnections);
static_assert(kReconnectMost < kAbsentKept, "an honest peer comes back while its id is held");
static_assert(kRejoinWait < kAdmissionPatience, "a restarted metaserver has answered by then");
static_assert(kRejoinWait < kUnwrittenBelieved && kAbsentMembers <= kMembers);
static_assert(kMembers + kOrdersUnwritten < kJoinOrder);
static_assert(kHeartbeatInterval < kContestSilence && kContestSilence < kHoldTimeout);

// --- budgets (budget.h)
// What payers hold, each with its bounds: of one payer, and of the process.
enum class Held : std::uint8_t {
  guests,         // connections on which no member was admitted yet
  queuedBytes,    // buffers of what is to be sent, on connections of the event loop
  receivedBytes,  // buffers of frames that are not complete, or that wait for their turn
  members,        // of a metaserver; the payer is the address that they come from
  absentMembers,  // the same
  uploads,        // connections of askers to the share's server
  pushUploads,    // connections of takers of pushes
  uploadBytes,    // answers that an asker does not take yet
};
inline constexpr std::size_t kHeldKinds = 8;
struct HeldBound {
  std::uint64_t payer;
  std::uint64_t process;
};
using HeldBounds = std::array<HeldBound, kHeldKinds>;
inline constexpr HeldBounds kHeldBounds{{
    {1024, kConnections / 2},           // guests: an office behind one address
    {2 * kQueueCloseBytes, 40u << 20},  // queuedBytes: a buffer may be twice its content
    {8 * kFrameBytes, 12u << 20},       // receivedBytes
    {1024, kMembers},                   // members: an office behind one address
    {1024, kAbsentMembers},             // absentMembers: all of them are cut at once
    {32, kUploadConnections},           // uploads: as many downloads of one peer at once
    {16, 128},                          // pushUploads: a stripe each
    {2u << 20, 24u << 20},              // uploadBytes
}};
// What payers spend, each with the bounds of its buckets.
enum class Rate : std::uint8_t {
  dials,             // the payer is whom a stranger's message made this process dial
  logLines,          // about one payer
  namedDials,        // dials of targets that this payer named
  referrals,         // dials of targets that the metaserver named
  raises,            // heartbeats of a root that a payer asks for: each goes to the whole tree
  labels,            // heartbeats of a parent that better a label, and are passed on
  exchanges,         // lists of contacts that are passed on
  links,             // joiners that are taken in
  gossips,           // rounds of counts and lineages to all neighbours; of the process
  reports,           // of links, to the metaserver; of the process
  registryJoins,     // at a metaserver, from one address; the refused ones, too
  registryChanges,   // Links, Seek, PortTaken: each may move the peers below its sender
  registryRequests,  // everything else; the unit is a heartbeat, some 10 us
  statistics,        // of the cluster: each question asks all its metaservers
  // The payer is a neighbour, what it sends is about pushes:
  pushOffers,      // offers taken, in bytes
  pushOffersTold,  // offers sent to it, in bytes: less than it takes
  pushEntries,     // entries of ledgers
  pushRaises,      // of versions of entries of other peers
  pushNames,       // peers that are not behind it any more
  pushFiles,       // files taken
  rechecks,        // of files that askers report as damaged
  queries,         // searches that arrive over a link
  queriesTold,     // searches sent to it: as many as it takes
  // Of private messages:
  privateSenders,   // connections that begin; the payer is the address that they come from
  privateMessages,  // the payer is the sender; each is written and synced
};
inline constexpr std::size_t kRateKinds = 25;
struct RateBound {
  double perSecond;
  double burst;
  double processPerSecond;
  double processBurst;
};
using RateBounds = std::array<RateBound, kRateKinds>;
inline constexpr RateBounds kRateBounds{{
    {4, 16, 200, 400},         // dials
    {10.0 / 60, 20, 0.8, 45},  // logLines: with those that tell what was left out, 100 a minute
    {8, 64, 200, 400},         // namedDials: all that one full peer refers to
    {8, 40, 8, 40},            // referrals: a slot is retried five times a second
    {5, 20, 50, 100},          // raises: a held joiner repeats its own every two seconds
    {60, 200, 120, 400},       // labels: more than a root raises
    {60, 120, 600, 1200},      // exchanges: of one network fifty a second reach the root
    {1, 32, 256, 1024},        // links: each costs a report, gossip, and repeated searches
    {4, 80, 4, 80},            // gossips: a storm of joins is told at once, flapping is not
    {10, 40, 10, 40},          // reports
    {20, 1024, 50e3, 100e3},   // registryJoins: an office comes back at once after a restart
    {20, 200, 20e3, 100e3},    // registryChanges: kMaxLinks children come and go at once
    {5e3, 20e3, 50e3, 200e3},  // registryRequests: pages of 140,000 members at once
    {1, 10, 50, 200},          // statistics: nobody reads more
    {256e3, 4e6, 64 * 256e3, 64 * 4e6},    // pushOffers: 100 small offers a second
    {192e3, 3e6, 64 * 192e3, 64 * 3e6},    // pushOffersTold
    {24e3, 512e3, 64 * 24e3, 64 * 512e3},  // pushEntries: what PushLink::flush() sends at most
    {32, 1024, 512, 16'384},               // pushRaises: each answer to a lie is one, too
    {0.25, 16, 16, 1024},                  // pushNames: times the number of peers behind it
    {4, 20'480, 16, 40'960},               // pushFiles: what a peer may leave on the disk
    {1.0 / 60, 4, 0.2, 16},                // rechecks
    {kQueriesPerSecond, kQueryBurst, 3200, 12'800},  // queries: of all links together
    {kQueriesPerSecond, kQueryBurst, 3200, 12'800},  // queriesTold
    {2, 32, 50, 500},                                // privateSenders: each asks the metaserver
    {50, 400, 400, 4000},                            // privateMessages: an outbox in 12 s
}};
inline constexpr unsigned kLoopbackPeers = 64;      // so many have one address on loopback
inline constexpr std::size_t kIdlePayers = 16'384;  // remembered though they hold nothing
inline constexpr auto kLeftOutLines = 10s;          // until a line tells how many were left out

// --- the page in the browser (common/web), which only processes of this machine reach
inline constexpr std::size_t kWebStreams = 64;            // pages that follow; one more gets 503
inline constexpr std::size_t kWebOthers = 8;              // other requests at a time
inline constexpr std::size_t kWebHeaderBytes = 8 * 1024;  // of a request, counted at the socket
inline constexpr std::size_t kWebBodyBytes = 64 * 1024;   // a line of the prompt fits
inline constexpr auto kWebRequestTime = 10s;              // to say a request, absolute
inline constexpr auto kWebTakeTime = 5s;                  // to take a piece of an answer
inline constexpr std::size_t kWebEvents = 4096;           // kept for pages that come back
inline constexpr std::size_t kWebEventBytes = 1u << 20;   // of these events, all together
inline constexpr auto kWebBatchInterval = 250ms;          // four batches a second a page
inline constexpr std::size_t kWebTokens = 64;             // pages that were let in; the oldest goes
inline constexpr std::size_t kWebSecrets = 16;            // links that were not used yet
inline constexpr auto kWebSecretLife = 10min;             // of such a link
inline constexpr std::size_t kLogLinesKept = 1000;        // for the page
inline constexpr std::size_t kLogLineKeptBytes = 512;
inline constexpr std::size_t kWebNameBytes = 253;  // of --web-host: a name of DNS
inline constexpr auto kLoopTurnLate = 1s;          // a loop that did not turn for so long is ill

}  // namespace espalier::limits
