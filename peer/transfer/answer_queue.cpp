#include "peer/transfer/answer_queue.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/base/limits.h"
#include "common/wire/frame.h"

namespace espalier::transfer {

using net::IoResult;
using Next = UploadSlots::Next;

void AnswerQueue::add(const wire::TransferAnswer& answer) {
  wire::appendFrame(wire::encode(answer), frames_);
}

void AnswerQueue::addLarge(const wire::ChunkHeader& header, int file, std::uint64_t offset,
                           bool mayLack) {
  add(header);
  body_ = {file, offset, header.bytes, header.bytes, mayLack, false};
}

// Of the frames, or, once they are sent, of the body.
Result<IoResult> AnswerQueue::sendSome(const UploadSlots::Slice& slice) {
  static const std::string zeros(limits::kBlockBytes, '\0');
  if (sent_ < frames_.size()) {
    return stream_.writeSome(std::string_view(frames_).substr(sent_), slice.patience(),
                             body_.has_value());
  }
  if (granted_ == 0) granted_ = pace_.take(body_->left);
  const auto bytes = std::min(granted_, body_->left);
  if (body_->isZeros) {
    return stream_.writeSome(std::string_view(zeros).substr(0, bytes), slice.patience());
  }
  auto some = stream_.sendFileSome(body_->file, body_->offset, bytes, slice.patience());
  if (!some || some->state != IoResult::State::ended) return some;
  if (!body_->mayLack) return Error{ErrorCode::io, "the file has become shorter"};
  body_->isZeros = true;
  return sendSome(slice);
}

Result<AnswerQueue::Flushed> AnswerQueue::flush(const UploadSlots::Slice& slice) {
  Flushed flushed;
  while (sent_ < frames_.size() || (body_ && body_->left > 0)) {
    const auto some = sendSome(slice);
    if (!some) return some.error();
    if (some->state != IoResult::State::done) {
      flushed.paused = some->state == IoResult::State::wantRead ? Next::readable : Next::writable;
      return flushed;
    }
    flushed.bytes += some->bytes;
    if (sent_ < frames_.size()) {
      sent_ += some->bytes;
      if (sent_ < frames_.size()) continue;
      frames_.clear();
      sent_ = 0;
      continue;
    }
    body_->offset += some->bytes;
    body_->left -= some->bytes;
    granted_ -= some->bytes;
    if (body_->left > 0 && slice.isOver()) {
      flushed.paused = Next::later;
      return flushed;
    }
  }
  if (const auto body = std::exchange(body_, std::nullopt)) {
    granted_ = 0;
    flushed.bodyBytes = body->bytes;
    flushed.isWhole = !body->isZeros;
  }
  return flushed;
}

}  // namespace espalier::transfer
