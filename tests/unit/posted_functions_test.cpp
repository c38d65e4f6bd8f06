// Functions that other threads post to an event loop: they are bounded and in order, and no thread
// waits for a loop that has ended.
#include "common/net/posted_functions.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace espalier;
using net::PostedFunctions;

TEST_CASE("threads that post faster than the loop takes wait, and everything runs once") {
  constexpr std::size_t kThreads = 8;
  constexpr std::size_t kEach = limits::kPostedFunctions + 1;  // no thread can end before it waits
  PostedFunctions posted{WakeUp()};
  std::atomic<std::size_t> attempts{0};
  std::size_t ran = 0;
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < kEach; ++i) {
        ++attempts;
        CHECK(posted.post([&] { ++ran; }));
      }
    });
  }
  // From here on each thread has posted as much as it may.
  while (attempts < limits::kPostedFunctions + kThreads) std::this_thread::yield();
  while (ran < kThreads * kEach) {
    const auto taken = posted.take();
    CHECK(taken.size() <= limits::kPostedFunctions);
    for (const auto& function : taken) function();
    std::this_thread::yield();
  }
  CHECK(ran == kThreads * kEach);
}

TEST_CASE("functions that the loop's own thread posts never wait") {
  PostedFunctions posted{WakeUp()};
  posted.runHere();
  for (std::size_t i = 0; i < limits::kPostedFunctions + 10; ++i) REQUIRE(posted.post([] {}));
  CHECK(posted.take().size() == limits::kPostedFunctions + 10);
}

TEST_CASE("after a loop's end no thread waits for it, and posted functions are destroyed") {
  PostedFunctions posted{WakeUp()};
  const auto held = std::make_shared<int>(0);
  for (std::size_t i = 0; i < limits::kPostedFunctions; ++i) REQUIRE(posted.post([held] {}));
  bool accepted = true;
  {
    std::jthread waiting([&] { accepted = posted.post([held] {}); });
    posted.close();
  }
  CHECK_FALSE(accepted);
  CHECK_FALSE(posted.post([held] {}));
  CHECK(held.use_count() == 1);
  CHECK(posted.take().empty());
}
