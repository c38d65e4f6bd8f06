// Used by both ends of a control socket: the path of the socket, and lines of JSON. Stateless,
// except LineReader; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"

namespace espalier::command {

inline constexpr const char* kControlSocket = "control.sock";
inline constexpr const char* kControlLock = "control.lock";

// Connects to the socket in that open state folder. Never blocks. Errors: `unavailable` if no
// program listens; `timeout` if its queue of connections is full, as that of a stopped program is;
// `configuration` if a program of another user listens, to which nothing is sent. The address of a
// socket has only 108 bytes, so both ends name it through /proc/self/fd.
Result<FileDescriptor> connectControl(int folder);
Result<FileDescriptor> listenControl(int folder);

// Whether the process at the other end belongs to this user, or to root.
bool isSameUser(int socket);

// A member that may hold any bytes, such as a path. UTF-8 is put as text. Other bytes are put
// twice: as NAME, with U+FFFD for what JSON cannot hold, for older programs; and as NAMEHex.
void putBytes(Json& message, const std::string& name, std::string_view bytes);
// The bytes that putBytes() put; nothing if the member is missing or has another type.
std::optional<std::string> getBytes(const Json& message, const std::string& name);

// {"progress":{…}}, or {"progress":null} at its end.
Json progressMessage(const Progress& progress);

// Sends one line. False if the connection was closed, or after SO_SNDTIMEO.
bool sendLine(int socket, const Json& message);

// Sends text as {"NAME": …} lines of at most limits::kControlOutputBytes, cut between characters.
bool sendText(int socket, const char* name, std::string_view text);

// Cuts the bytes that arrive into lines. Not thread-safe.
class LineReader {
 public:
  enum class State { open, ended };
  // Reads what has arrived, without blocking. `ended`: closed, failed, or a line over the limit.
  State receive(int socket);
  // The next line as JSON; null for a line that is not an object.
  std::optional<Json> next();

 private:
  std::string buffer_;
  std::size_t start_ = 0;
  std::size_t scanned_ = 0;
};

}  // namespace espalier::command
