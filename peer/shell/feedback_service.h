// What users say about the service, and what its metaservers have counted. Thread rule: see
// search_service.h.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>

#include "common/base/result.h"
#include "common/wire/statistics.h"

namespace espalier::peer::shell {

class FeedbackService {
 public:
  virtual ~FeedbackService() = default;
  // `score` 1 to 5; `text` UTF-8 of at most limits::kRatingBytes. `refused`: this session was rated
  // before.
  virtual Result<void> rate(unsigned score, const std::string& text, std::stop_token stop) = 0;
  virtual Result<wire::Statistics> statistics(std::size_t days, std::stop_token stop) = 0;
};

}  // namespace espalier::peer::shell
