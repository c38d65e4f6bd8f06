#include "common/command/control_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"

namespace espalier::command {
namespace {

sockaddr_un addressIn(int folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = pathIn(folder, kControlSocket);
  std::copy_n(path.c_str(), path.size() + 1, address.sun_path);
  return address;
}

}  // namespace

Result<FileDescriptor> connectControl(int folder) {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return systemError("cannot make a control socket", errno);
  const auto address = addressIn(folder);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    ::fcntl(socket.get(), F_SETFL, 0);
    if (isSameUser(socket.get())) return socket;
    return Error{ErrorCode::configuration,
                 "the control socket is answered by a program of another user: nothing was said "
                 "to it"};
  }
  const int reason = errno;
  Error error = systemError("cannot connect to the control socket", reason);
  if (reason == ENOENT || reason == ECONNREFUSED) error.code = ErrorCode::unavailable;
  if (reason == EAGAIN) error.code = ErrorCode::timeout;
  return error;
}

Result<FileDescriptor> listenControl(int folder) {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return systemError("cannot make the control socket", errno);
  // Before bind(): Linux gives the file the mode of the socket, so other users never have access.
  if (::fchmod(socket.get(), 0600) != 0) {
    return systemError("cannot set the mode of the control socket", errno);
  }
  const auto address = addressIn(folder);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return systemError("cannot bind the control socket", errno);
  }
  if (::listen(socket.get(), static_cast<int>(limits::kControlSessions)) != 0) {
    return systemError("cannot listen on the control socket", errno);
  }
  return socket;
}

bool isSameUser(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return false;
  return credentials.uid == ::geteuid() || credentials.uid == 0;
}

void putBytes(Json& message, const std::string& name, std::string_view bytes) {
  message[name] = bytes;
  if (isUtf8(bytes)) return;
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  message[name + "Hex"] = std::move(hex);
}

std::optional<std::string> getBytes(const Json& message, const std::string& name) {
  const auto text = [&](const std::string& member) -> std::optional<std::string> {
    if (!message.is_object() || !message.contains(member) || !message[member].is_string()) {
      return std::nullopt;
    }
    return message[member].get<std::string>();
  };
  const auto hex = text(name + "Hex");
  if (!hex) return text(name);
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex->size(); i += 2) {
    unsigned value = 0;
    const char* end = hex->data() + i + 2;
    if (std::from_chars(hex->data() + i, end, value, 16).ptr != end) return std::nullopt;
    bytes += static_cast<char>(value);
  }
  return bytes;
}

Json progressMessage(const Progress& progress) {
  Json message;
  auto& data = message["progress"];
  if (progress.name.empty()) return message;
  data["name"] = progress.name;
  data["done"] = progress.done;
  data["total"] = progress.total;
  if (!progress.detail.empty()) data["detail"] = progress.detail;
  data["unit"] = progress.unit == Unit::bytes   ? "bytes"
                 : progress.unit == Unit::items ? "items"
                                                : "none";
  return message;
}

bool sendLine(int socket, const Json& message) {
  const std::string line = message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const auto sent = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool sendText(int socket, const char* name, std::string_view text) {
  while (!text.empty()) {
    std::size_t size = std::min(text.size(), limits::kControlOutputBytes);
    // Cut before a character begins. Malformed text may have no such place within four bytes.
    for (int i = 0; i < 4 && size < text.size() && size > 1; ++i) {
      if ((static_cast<unsigned char>(text[size]) & 0xC0) != 0x80) break;
      --size;
    }
    Json message;
    message[name] = text.substr(0, size);
    if (!sendLine(socket, message)) return false;
    text.remove_prefix(size);
  }
  return true;
}

LineReader::State LineReader::receive(int socket) {
  buffer_.erase(0, start_);
  scanned_ -= start_;
  start_ = 0;
  std::array<char, 16 * 1024> chunk;
  while (true) {
    const auto received = ::recv(socket, chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (received > 0) {
      buffer_.append(chunk.data(), static_cast<std::size_t>(received));
      // Only one read: the caller takes the lines before it reads more.
      if (buffer_.size() < limits::kControlLineBytes) continue;
      const auto lastEnd = buffer_.rfind('\n');
      const auto unfinished =
          lastEnd == std::string::npos ? buffer_.size() : buffer_.size() - lastEnd - 1;
      return unfinished < limits::kControlLineBytes ? State::open : State::ended;
    }
    if (received < 0 && errno == EINTR) continue;
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return State::open;
    return State::ended;
  }
}

std::optional<Json> LineReader::next() {
  const auto end = buffer_.find('\n', scanned_);
  if (end == std::string::npos) {
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  const std::string_view line(buffer_.data() + start_, end - start_);
  start_ = scanned_ = end + 1;
  Json message = Json::parse(line, nullptr, false);
  return message.is_object() ? std::move(message) : Json(nullptr);
}

}  // namespace espalier::command
