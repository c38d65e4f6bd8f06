#include "peer/transfer/upload_slots.h"

#include <utility>

#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/net/handshake.h"
#include "common/wire/frame.h"
#include "common/wire/transfer.h"

namespace espalier::transfer {
namespace {

std::string waitingFrame(std::size_t place) {
  std::string frame;
  wire::appendFrame(wire::encode(wire::Waiting{static_cast<std::uint32_t>(place)}), frame);
  return frame;
}

}  // namespace

UploadSlots::UploadSlots(SlotOptions options, Begin begin)
    : options_(options), begin_(std::move(begin)) {}

void UploadSlots::serve(std::unique_ptr<net::ByteStream> accepted, const wire::Hello& hello) {
  auto stream =
      std::make_unique<net::BlockingStream>(std::move(accepted), options_.silence, interrupter_);
  const std::lock_guard lock(mutex_);
  const auto refuse = [&](const char* why) {
    (void)stream->tryWrite(net::refusalFrame({ErrorCode::timeout, why}));
  };
  if (stopping_ || serving_ + queue_.size() >= options_.slots + options_.queue) {
    return refuse("busy: all slots are in use and the queue is full");
  }
  if (!addThreads()) return refuse("busy: the system has no thread left to serve this");
  if (!stream->tryWrite(net::welcomeFrame(hello))) return;
  queue_.push_back({std::move(stream)});
  queueWake_.notify_one();
  wake_.notify_one();
}

// As many as one more asker wants. Where the system has no thread left, those that there are do it;
// false: there is none.
bool UploadSlots::addThreads() {
  Result<void> started;
  const std::size_t askers = serving_ + queue_.size() + 1;
  if (askers > slots_.size() && slots_.size() < options_.slots) {
    started = startThread(slots_, [this] { work(); });
  }
  if (started && askers > slots_.size() && !queueKeeper_.joinable()) {
    started = startThread(queueKeeper_, [this] { keepQueue(); });
  }
  if (!started) log::warning("no thread for one more upload: {}", started.error().message);
  return !slots_.empty();
}

void UploadSlots::work() {
  const QuietSignals quiet;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Asker asker = std::move(queue_.front());
    queue_.pop_front();
    ++serving_;
    queueWake_.notify_one();
    lock.unlock();
    const auto turn = converse(asker);
    if (!turn) log::debug("a transfer ended: {}", escaped(turn.error().message));
    if (turn.valueOr(false)) {
      lock.lock();
      queue_.push_back(std::move(asker));
      queueWake_.notify_one();
    } else {
      asker.conversation.reset();
      asker.stream.reset();
      lock.lock();
    }
    --serving_;
  }
}

Result<bool> UploadSlots::converse(Asker& asker) {
  if (!asker.conversation) asker.conversation = begin_(*asker.stream, interrupter_.token());
  const TimePoint begun = Clock::now();
  return asker.conversation->serve([&](bool idle) {
    if (options_.queue == 0) return false;  // no asker waits for the slot
    if (!idle && Clock::now() - begun < options_.turn) return false;
    const std::lock_guard lock(mutex_);
    return !queue_.empty();
  });
}

// Places are told when they change, and as a sign of life to askers that would give up otherwise.
void UploadSlots::keepQueue() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    // The first askers, as many as there are free slots, are about to be served.
    const std::size_t free = slots_.size() - serving_;
    for (std::size_t i = free; i < queue_.size();) {
      auto& stream = *queue_[i].stream;
      // An asker that has not read all that was sent needs no further sign of life.
      if (!stream.isWritable() || stream.tryWrite(waitingFrame(i - free + 1))) {
        ++i;
        continue;
      }
      // It is gone, or reads nothing. Half a frame may have been sent, so the connection ends.
      queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (queue_.size() > free) {
      queueWake_.wait_for(lock, options_.waitingInterval);
    } else {
      queueWake_.wait(lock);
    }
  }
}

void UploadSlots::stop() {
  std::vector<std::jthread> slots;
  std::jthread queueKeeper;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    slots.swap(slots_);
    queueKeeper.swap(queueKeeper_);
    wake_.notify_all();
    queueWake_.notify_all();
  }
  interrupter_.interrupt();
  slots.clear();
  queueKeeper = {};
  const std::lock_guard lock(mutex_);
  queue_.clear();
}

UploadSlots::Status UploadSlots::status() const {
  const std::lock_guard lock(mutex_);
  return {serving_, queue_.size()};
}

}  // namespace espalier::transfer
