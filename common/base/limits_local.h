// A part of limits.h, which includes it: the bounds on what comes from this machine, its user's
// commands and the files that are shared.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace espalier::limits {

using namespace std::chrono_literals;

// --- the share
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

}  // namespace espalier::limits
