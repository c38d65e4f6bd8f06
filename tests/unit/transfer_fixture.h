// The fixture of the tests of transfers: temporary folders, shares, holders on real sockets, and a
// relay between asker and holder that can cut or stop the bytes.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/base/fs.h"
#include "common/crypto/file_tree.h"
#include "common/net/blocking_stream.h"
#include "common/wire/frame.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/source.h"
#include "peer/transfer/transfer_server.h"

namespace espalier::transfer::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "espalier-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() {
    boost::system::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  fs::path operator/(const std::string& name) const { return path_ / name; }
  std::string text() const { return path_.string(); }

 private:
  fs::path path_;
};

inline std::string readFile(const fs::path& path) {
  std::ifstream file(path.string(), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void writeFile(const fs::path& path, const std::string& content) {
  std::ofstream file(path.string(), std::ios::binary | std::ios::trunc);
  file << content;
  REQUIRE(file.flush().good());
}

inline std::string randomContent(std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string content(bytes + sizeof(std::uint64_t), '\0');
  for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t value = random();
    std::memcpy(content.data() + at, &value, sizeof value);
  }
  content.resize(bytes);
  return content;
}

inline crypto::FileHasher::Hashes hashesOf(const std::string& content) {
  crypto::FileHasher hasher(content.size());
  hasher.update(std::as_bytes(std::span(content)));
  return hasher.finish();
}

// A folder whose files are shared, and ways in which a share can misbehave.
class Share : public FileSource {
 public:
  wire::FileEntry add(const std::string& name, const std::string& content) {
    writeFile(folder_ / name, content);
    auto hashes = hashesOf(content);
    const wire::FileEntry info{hashes.root, content.size(), name};
    const std::lock_guard lock(mutex_);
    files_[hashes.root] = {info, hashes.chunks, stateOf(name)};
    return info;
  }
  // The file has other bytes from now on, without a sign of a change, as on a damaged disk.
  void damage(const wire::FileEntry& info, std::size_t offset) {
    std::string content = readFile(folder_ / info.name);
    content[offset] = static_cast<char>(content[offset] ^ 1);
    writeFile(folder_ / info.name, content);
    const std::lock_guard lock(mutex_);
    files_[info.root].state = stateOf(info.name);
  }
  void damageHashes(const wire::FileEntry& info) {
    const std::lock_guard lock(mutex_);
    files_[info.root].hashes.back().bytes[5] ^= 1;
  }
  void remove(const wire::FileEntry& info) {
    const std::lock_guard lock(mutex_);
    files_.erase(info.root);
  }
  fs::path path(const std::string& name) const { return folder_ / name; }

  std::optional<wire::FileEntry> find(const FileRoot& root) override {
    ++finds;
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(root);
    if (found == files_.end()) return std::nullopt;
    return found->second.info;
  }
  Result<ServedFile> open(const FileRoot& root) override {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(root);
    if (found == files_.end()) return Error{ErrorCode::failed, "gone"};
    const auto path = (folder_ / found->second.info.name).string();
    FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return systemError("cannot open", errno);
    return ServedFile{std::move(file), found->second.state};
  }
  Result<std::vector<Digest>> chunkHashes(const FileRoot& root) override {
    const std::lock_guard lock(mutex_);
    ++lists;
    const auto found = files_.find(root);
    if (found == files_.end()) return Error{ErrorCode::failed, "gone"};
    return found->second.hashes;
  }
  std::vector<wire::FileEntry> list(std::string_view after, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::map<std::string, wire::FileEntry> byName;
    for (const auto& [root, file] : files_) byName[file.info.name] = file.info;
    std::vector<wire::FileEntry> page;
    for (auto at = byName.upper_bound(std::string(after)); at != byName.end(); ++at) {
      if (page.size() == limit) break;
      page.push_back(at->second);
    }
    return page;
  }

  std::atomic<int> lists = 0;
  void rejected(const FileRoot&) override {
    const std::lock_guard lock(mutex_);
    ++rejections_;
    rejected_.notify_all();
  }
  // Waits until an asker reports a wrong chunk. Returns the number of reports.
  int awaitRejections() {
    std::unique_lock lock(mutex_);
    rejected_.wait_for(lock, std::chrono::seconds(30), [&] { return rejections_ > 0; });
    return rejections_;
  }
  std::atomic<int> finds = 0;  // one a request

 private:
  struct File {
    wire::FileEntry info;
    std::vector<Digest> hashes;
    share::FileStat state;
  };
  share::FileStat stateOf(const std::string& name) const {
    struct stat status {};
    REQUIRE(::stat((folder_ / name).string().c_str(), &status) == 0);
    return share::fileStat(status);
  }

  TemporaryFolder folder_;
  std::mutex mutex_;
  std::condition_variable rejected_;
  int rejections_ = 0;
  std::map<FileRoot, File> files_;
};

// Listens on a free port of 127.0.0.1, and calls `accepted` on a new thread for each connection.
class Listener {
 public:
  explicit Listener(std::function<void(FileDescriptor)> accepted)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket_.get(), 64) == 0);
    socklen_t length = sizeof address;
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this, accepted = std::move(accepted)] {
      while (true) {
        FileDescriptor connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection) return;
        ++connections;
        accepted(std::move(connection));
      }
    });
  }
  ~Listener() { stop(); }
  void stop() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    socket_.reset();
  }
  Endpoint endpoint() const { return {"127.0.0.1", port_}; }

  std::atomic<int> connections = 0;

 private:
  FileDescriptor socket_;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

// Reads up to the end of the Hello, like the event loop of a peer. The bytes after it are passed
// on.
template <typename Server>
void readHello(FileDescriptor socket, Server& server, wire::Purpose purpose) {
  wire::FrameReader reader;
  std::array<char, 512> buffer;
  while (true) {
    const auto got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return;
    reader.append({buffer.data(), static_cast<std::size_t>(got)});
    auto frame = reader.next();
    REQUIRE(frame.ok());
    if (!*frame) continue;
    const auto hello = wire::decodeHello(**frame);
    REQUIRE(hello.ok());
    REQUIRE(hello->purpose == purpose);
    auto stream = net::TcpStream::adopt(std::move(socket));
    stream->unread(reader.rest());
    server.serve(std::move(stream), *hello);
    return;
  }
}

// A peer that serves its share.
class HolderPeer {
 public:
  explicit HolderPeer(std::string id, SlotOptions options = {})
      : id_(*PeerId::parse(id)), server_(share, options), listener_([this](FileDescriptor socket) {
          readHello(std::move(socket), server_, wire::Purpose::transfer);
        }) {}

  Holder holder() const { return {id_, listener_.endpoint()}; }
  ServerStatus status() const { return server_.status(); }
  int connections() const { return listener_.connections; }
  void stop() {
    listener_.stop();
    server_.stop();
  }

  Share share;

 private:
  PeerId id_;
  TransferServer server_;
  Listener listener_;
};

// A relay to a holder. It passes that many bytes from the holder, over all connections. Then it
// closes, drops the rest, or waits for goOn() and passes the rest.
class Line {
 public:
  enum class Then { close, stall, wait };

  Line(const Endpoint& holder, std::uint64_t bytes, Then then)
      : holder_(holder),
        left_(static_cast<std::int64_t>(bytes)),
        then_(then),
        listener_([this](FileDescriptor asker) { connect(std::move(asker)); }) {}
  ~Line() {
    listener_.stop();
    interrupter_.interrupt();
    goOn();
  }
  // Waits until those bytes have passed.
  void awaitBytes() const { passed_.wait(false); }
  void goOn() {
    mayGoOn_ = true;
    mayGoOn_.notify_all();
  }
  Endpoint endpoint() const { return listener_.endpoint(); }
  int connections() const { return listener_.connections; }

 private:
  void connect(FileDescriptor asker) {
    auto holder = net::dialBlocking(holder_, std::chrono::seconds(5), interrupter_);
    REQUIRE(holder.ok());
    net::BlockingStream& up = open_.emplace_back(net::TcpStream::adopt(std::move(asker)),
                                                 std::chrono::seconds(60), interrupter_);
    net::BlockingStream& down =
        open_.emplace_back(std::move(*holder), std::chrono::seconds(60), interrupter_);
    threads_.emplace_back([&up, &down] {
      std::array<std::byte, 4096> buffer;
      while (auto got = up.read(buffer)) {
        if (!down.write(text(buffer, *got))) break;
      }
      down.cut();
    });
    threads_.emplace_back([this, &up, &down] {
      std::array<std::byte, 16384> buffer;
      while (auto got = down.read(buffer)) {
        const auto before = left_.fetch_sub(static_cast<std::int64_t>(*got));
        if (before < static_cast<std::int64_t>(*got)) {
          if (then_ == Then::close) break;
          if (then_ == Then::stall) continue;  // swallowed
          passed_ = true;
          passed_.notify_all();
          mayGoOn_.wait(false);
        }
        if (!up.write(text(buffer, *got))) break;
      }
      up.cut();
    });
  }
  static std::string_view text(std::span<const std::byte> buffer, std::size_t bytes) {
    return {reinterpret_cast<const char*>(buffer.data()), bytes};
  }

  Endpoint holder_;
  std::atomic<std::int64_t> left_;
  Then then_;
  std::atomic<bool> passed_{false};
  std::atomic<bool> mayGoOn_{false};
  net::Interrupter interrupter_;
  std::deque<net::BlockingStream> open_;
  std::vector<std::jthread> threads_;
  Listener listener_;
};

// An asker with a downloads folder and a state folder.
class Asker {
 public:
  explicit Asker(Timeouts timeouts = {}) {
    options.stateFolder = downloads.text() + "/.espalier";
    options.timeouts = timeouts;
  }
  FetchRequest request(const wire::FileEntry& info, std::vector<Holder> holders) const {
    return {info.root, info.size, std::move(holders), downloads.text(), info.name};
  }
  Result<FetchResult> fetch(const FetchRequest& request, std::stop_token stop = {},
                            const ProgressCallback& progress = {}) const {
    return Downloader(options).fetch(request, stop, progress);
  }
  Result<FetchResult> fetch(const wire::FileEntry& info, std::vector<Holder> holders) const {
    return fetch(request(info, std::move(holders)));
  }
  bool hasPart(const wire::FileEntry& info) const {
    return fs::exists(downloads / ".espalier" / "incoming" / (toHex(info.root.view()) + ".part"));
  }

  TemporaryFolder downloads;
  DownloaderOptions options;
};

}  // namespace espalier::transfer::test
