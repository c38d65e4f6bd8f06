// A sentence for the user about the share: what is not shared and why, what changed by itself.
// A value. Made by the classes of this folder; the peer's shell shows it and writes it to the log.
#pragma once

#include <functional>
#include <string>

#include "common/base/log.h"

namespace espalier::share {

struct ShareNotice {
  log::Level level = log::Level::info;
  std::string text;
};
using Notify = std::function<void(const ShareNotice&)>;

}  // namespace espalier::share
