// Runs a line of the page's prompt, and writes what becomes of it as the answer.
//
// Called on a thread of the server. A thread beside it watches the connection: when it ends, the
// command is interrupted.
#pragma once

#include <Poco/Net/HTTPServerResponse.h>

#include <string>

#include "common/web/bounded_socket.h"
#include "common/web/requests.h"

namespace espalier::web {

void runCommand(Served& served, BoundedSocketImpl& socket, const std::string& line, bool isStream,
                Poco::Net::HTTPServerResponse& response);

}  // namespace espalier::web
