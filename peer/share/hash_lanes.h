// Hashes files, on a thread (a lane) for each core.
//
//   submit() --> small files first, then large ones in segments --> results --> takeResults()
//
// Small files go first, so that a share of many files becomes useful while a few huge ones are
// still being read. A large file is cut into segments of kHashSegmentBytes, and all lanes take
// segments of it. A job is done when its result can be taken; a cancelled one, too.
//
// The constructor starts the threads. The destructor ends each within one read (256 KiB), and
// leaves the remaining jobs undone. They run at a lower priority than the peer's other threads.
// `wake` is called, on a lane, when the last of the submitted jobs is done; until then the
// submitter takes results at its own pace.
//
// All functions are thread-safe. The indexer's thread submits (through HashSchedule and the
// Rechecker) and takes the results.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/ids.h"
#include "peer/share/chunk_lists.h"
#include "peer/share/shared_file.h"

namespace espalier::share {

enum class HashOutcome { done, changed, gone, unreadable };

// One version of one file. The members above the line are set by the submitter and constant after
// submit(). Those below the line belong to the lanes until the result is taken.
struct HashJob {
  std::string name;
  fs::path folder;
  std::string relative;
  FileStat stat;
  std::uint32_t folderIndex = 0;
  unsigned attempts = 0;  // earlier jobs that failed because the file changed meanwhile
  std::atomic<bool> cancelled{false};
  // ---
  std::once_flag opened;
  FileDescriptor descriptor;
  std::uint64_t nextSegment = 0;  // under the lanes' lock
  std::atomic<std::uint64_t> segmentsDone{0};
  std::atomic<std::uint64_t> readBytes{0};
  std::atomic<HashOutcome> outcome{HashOutcome::done};
  std::atomic<int> error{0};  // errno of an outcome `unreadable`
  std::vector<Digest> chunks;
  FileRoot root;
};
using HashJobPointer = std::shared_ptr<HashJob>;

class HashLanes {
 public:
  // `lanes`: 0 means one for each core. Fewer, but at least one, if the system has no more threads.
  // `lists` stores the chunk hashes of files of several chunks.
  HashLanes(unsigned lanes, ChunkLists& lists, std::function<void()> wake);
  ~HashLanes();
  // An error if not even one lane could be started.
  const Result<void>& started() const { return started_; }

  void submit(HashJobPointer job);
  std::vector<HashJobPointer> takeResults();
  // Bytes of files that were read since the start.
  std::uint64_t hashedBytes() const { return hashedBytes_.load(); }
  // The same of jobs that are not done yet.
  std::uint64_t openBytes() const { return openBytes_.load(); }

 private:
  struct Task {
    HashJobPointer job;
    std::uint64_t segment = 0;
  };

  void run(std::stop_token stop);
  bool take(std::stop_token stop, std::vector<std::byte>& buffer, Task& task);
  void hashSegment(const Task& task, std::vector<std::byte>& buffer, std::stop_token stop);
  void open(HashJob& job);
  bool hashChunk(HashJob& job, std::uint64_t chunk, std::span<std::byte> buffer,
                 std::stop_token stop);
  void finish(const HashJobPointer& job);

  ChunkLists& lists_;
  std::function<void()> wake_;
  std::atomic<std::uint64_t> hashedBytes_{0};
  std::atomic<std::uint64_t> openBytes_{0};

  std::mutex mutex_;
  std::condition_variable_any work_;
  std::deque<HashJobPointer> small_;  // one segment each
  std::deque<HashJobPointer> large_;
  std::vector<HashJobPointer> results_;
  std::size_t outstanding_ = 0;

  Result<void> started_;
  std::vector<std::jthread> threads_;  // last: they end before the rest
};

}  // namespace espalier::share
