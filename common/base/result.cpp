#include "common/base/result.h"

#include <fmt/format.h>

#include <system_error>

namespace espalier {

int exitCode(ErrorCode code) {
  return static_cast<int>(code);
}

ErrorCode errorCodeFromWire(unsigned number) {
  switch (number) {
    case 3:
      return ErrorCode::partial;
    case 64:
      return ErrorCode::usage;
    case 69:
      return ErrorCode::unavailable;
    case 74:
      return ErrorCode::io;
    case 75:
      return ErrorCode::timeout;
    case 76:
      return ErrorCode::protocol;
    case 77:
      return ErrorCode::refused;
    case 78:
      return ErrorCode::configuration;
    case 130:
      return ErrorCode::interrupted;
    default:
      return ErrorCode::failed;
  }
}

Error systemError(std::string_view what, int errnoValue) {
  return {ErrorCode::io, fmt::format("{}: {}", what, std::generic_category().message(errnoValue))};
}

}  // namespace espalier
