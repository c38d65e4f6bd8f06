#include "peer/transfer/fetch_problem.h"

#include <fmt/format.h>

#include <string>

#include "common/base/text.h"

namespace espalier::transfer {

Error fromHolder(const wire::TransferFailure& failure) {
  using wire::TransferProblem;
  const std::string message = escaped(failure.message);
  switch (failure.problem) {
    case TransferProblem::busy:
      return {ErrorCode::timeout, message};
    case TransferProblem::badRequest:
      return {ErrorCode::protocol, message};
    case TransferProblem::io:
      return {ErrorCode::io, message};
    case TransferProblem::changed:
      return changedThere();
    case TransferProblem::unknown:
    case TransferProblem::notShared:
      break;
  }
  return {ErrorCode::failed, message};
}

Error changedThere() {
  return {ErrorCode::failed, "the file has changed"};
}

Error unexpected(std::string_view what) {
  return {ErrorCode::protocol, fmt::format("sent {}", what)};
}

}  // namespace espalier::transfer
