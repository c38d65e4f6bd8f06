// The addresses of metaservers, as users write them. Pure functions. Used by the options of both
// programs, and by commands of the metaserver. Errors have the code `usage`.
#pragma once

#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/result.h"

namespace espalier::command {

// HOST:PORT; the port is not 0.
Result<Endpoint> parseMetaserver(std::string_view text);

// The same with commas between them: each once, in their order, at most limits::kMetaservers.
Result<std::vector<Endpoint>> parseMetaservers(std::string_view text);

// HOST-PORT, as in 127.0.0.1-5000; an IPv6 address with or without brackets.
Result<Endpoint> parseDashedMetaserver(std::string_view text);

// Of two words: a host (an IPv6 address with or without brackets) and a port.
Result<Endpoint> parseHostAndPort(std::string_view host, std::string_view port);

}  // namespace espalier::command
