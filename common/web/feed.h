// The state of a program for its pages, and what has changed since: pictures of the source, taken
// while a page follows, and the differences between them as events.
//
//   asleep --a page follows--> looks every limits::kWebBatchInterval
//      ^                                     |
//      +---------the last page leaves--------+
//
// Nothing of the program waits for a page: the feed takes its pictures on a thread of its own, and
// a page that does not read is behind until its events are forgotten; then it starts from a new
// state. Without a page nothing is looked at, so closed pages cost nothing.
//
// Lines of the log are events, too: of the group "log", by number.
//
// Thread-safe. One thread, started by start(), ended by the destructor. The source outlives it.
// Looking costs what Source::picture() does, and a comparison with the picture before. Between two
// looks the thread rests for at least nineteen times as long as the last one took: a twentieth of a
// core at most.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/web/event_ring.h"
#include "common/web/picture.h"
#include "common/web/source.h"

namespace espalier::web {

class Feed {
 public:
  explicit Feed(Source& source);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  Result<void> start();
  // Wakes all who wait: they get nothing more.
  void stop();

  // {"id":"EPOCH.NUMBER","state":{…}}: all that a page shows, and the event that it is up to.
  std::string state();

  // A page that follows. Belongs to one thread.
  class Follower {
   public:
    explicit Follower(Feed& feed);
    ~Follower();
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    // Waits until there is something behind `from`, or until `until`: then the text is empty.
    // Nothing: what followed `from` is forgotten, or the feed has stopped.
    std::optional<std::string> next(Position& from, TimePoint until);
    // Waits until then, or until the feed stops.
    void pause(TimePoint until);

   private:
    Feed& feed_;
  };

  bool hasStopped() const { return hasStopped_; }

 private:
  void run(const std::stop_token& stop);
  void look();

  Source& source_;
  std::atomic<bool> hasStopped_ = false;
  std::mutex looking_;  // one look at a time; taken before mutex_

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  EventRing ring_;
  Picture picture_;
  std::uint64_t lastLine_ = 0;  // of the log, that is an event
  unsigned followers_ = 0;

  std::jthread thread_;
};

}  // namespace espalier::web
