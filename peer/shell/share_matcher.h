// Answers the searches of the network from this peer's share.
//
//   core --MatchJob--> match() --a small share--> looked through on the loop's thread
//                          |
//                          +--else--> queue --> a worker thread --matched()--> core
//
// The worker gives each search a short turn before others have their second (match_queue.h). A
// search by root is answered also with a file that is still being downloaded.
//
// Thread rule: match() on the loop's thread. The destructor stops and joins the worker.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/base/result.h"
#include "peer/share/match_queue.h"
#include "peer/share/share_index.h"
#include "peer/shell/network.h"
#include "peer/transfer/partial_files.h"

namespace espalier::peer::shell {

class ShareMatcher {
 public:
  // All outlive it.
  ShareMatcher(Network& network, share::ShareIndex& index, transfer::PartialFiles& partialFiles)
      : network_(network), index_(index), partialFiles_(partialFiles) {}
  ShareMatcher(const ShareMatcher&) = delete;
  ShareMatcher& operator=(const ShareMatcher&) = delete;

  // An error where the system had no thread for the worker.
  Result<void> start();
  void match(const MatchJob& job);

 private:
  void work(const std::stop_token& stop);
  bool advance(share::Matching& matching, TimePoint until);
  void addPartial(share::Matching& matching);

  Network& network_;
  share::ShareIndex& index_;
  transfer::PartialFiles& partialFiles_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  share::MatchQueue queue_;
  std::jthread worker_;  // last: it uses the rest
};

}  // namespace espalier::peer::shell
