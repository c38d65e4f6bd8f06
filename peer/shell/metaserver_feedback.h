// The feedback service of a peer: the metaserver takes ratings and answers statistics. Thread-safe.
#pragma once

#include <stop_token>
#include <string>

#include "peer/shell/feedback_service.h"
#include "peer/shell/runtime.h"

namespace espalier::peer::shell {

class MetaserverFeedback final : public FeedbackService {
 public:
  explicit MetaserverFeedback(Runtime& runtime) : runtime_(runtime) {}

  Result<void> rate(unsigned score, const std::string& text, std::stop_token stop) override;
  Result<wire::Statistics> statistics(std::size_t days, std::stop_token stop) override;

 private:
  Runtime& runtime_;
};

}  // namespace espalier::peer::shell
