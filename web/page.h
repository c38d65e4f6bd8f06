// The files of the page in the browser, embedded at build time (web/embed.py). Constant data; any
// thread.
#pragma once

#include <span>

#include "common/web/page_server.h"

namespace espalier::web {

std::span<const Asset> pageAssets();

}  // namespace espalier::web
