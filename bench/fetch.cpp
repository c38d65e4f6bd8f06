// The two ends of a transfer, each a process of its own. Started by bench/fetch_one_source.
//
//   fetch serve FILE                         prints PORT ROOT SIZE, serves until its stdin ends
//   fetch get PORT ROOT SIZE FOLDER NAME     fetches, verifies, saves; prints the seconds
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "common/crypto/file_tree.h"
#include "common/wire/frame.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/transfer_server.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

[[noreturn]] void fail(const std::string& what) {
  fmt::print(stderr, "fetch: {}\n", what);
  std::exit(1);
}

class OneFile : public FileSource {
 public:
  explicit OneFile(const std::string& path) : path_(path) {
    struct stat status {};
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || ::fstat(file.get(), &status) != 0) fail("cannot open " + path);
    state_ = share::fileStat(status);
    void* data = ::mmap(nullptr, state_.sizeBytes, PROT_READ, MAP_SHARED, file.get(), 0);
    if (data == MAP_FAILED) fail("cannot read " + path);
    crypto::FileHasher hasher(state_.sizeBytes);
    hasher.update({static_cast<const std::byte*>(data), state_.sizeBytes});
    ::munmap(data, state_.sizeBytes);
    hashes_ = hasher.finish();
    info_ = {hashes_.root, state_.sizeBytes, "file"};
  }
  const wire::FileEntry& info() const { return info_; }

  std::optional<wire::FileEntry> find(const FileRoot& root) override {
    return root == info_.root ? std::optional(info_) : std::nullopt;
  }
  Result<ServedFile> open(const FileRoot&) override {
    return ServedFile{FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)), state_};
  }
  Result<std::vector<Digest>> chunkHashes(const FileRoot&) override { return hashes_.chunks; }
  std::vector<wire::FileEntry> list(std::string_view, std::size_t) override { return {info_}; }

 private:
  std::string path_;
  share::FileStat state_;
  crypto::FileHasher::Hashes hashes_;
  wire::FileEntry info_;
};

void accept(int listener, TransferServer& server) {
  FileDescriptor socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) return;
  wire::FrameReader reader;
  std::array<char, 512> buffer;
  while (true) {
    const auto got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return;
    reader.append({buffer.data(), static_cast<std::size_t>(got)});
    const auto frame = reader.next();
    if (!frame) return;
    if (!*frame) continue;
    const auto hello = wire::decodeHello(**frame);
    if (!hello) return;
    auto stream = net::TcpStream::adopt(std::move(socket));
    stream->unread(reader.rest());
    return server.serve(std::move(stream), *hello);
  }
}

int serve(const std::string& path) {
  OneFile source(path);
  TransferServer server(source);
  const FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(listener.get(), 64) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    fail("cannot listen");
  }
  fmt::print("{} {} {}\n", ntohs(address.sin_port), toHex(source.info().root.view()),
             source.info().size);
  std::fflush(stdout);
  std::jthread acceptor([&](std::stop_token stop) {
    while (!stop.stop_requested()) accept(listener.get(), server);
  });
  while (std::getchar() != EOF) {
  }
  acceptor.request_stop();
  ::shutdown(listener.get(), SHUT_RDWR);
  return 0;
}

int get(char** arguments) {
  FetchRequest request;
  const auto root = parseFileRoot(arguments[1]);
  if (!root) fail(root.error().message);
  request.root = *root;
  request.size = std::strtoull(arguments[2], nullptr, 10);
  request.holders = {
      {*PeerId::parse("s1"),
       {"127.0.0.1", static_cast<std::uint16_t>(std::strtoul(arguments[0], nullptr, 10))}}};
  request.folder = arguments[3];
  request.saveAs = arguments[4];
  DownloaderOptions options;
  options.stateFolder = request.folder + "/.espalier";
  const auto result = Downloader(options).fetch(request, {});
  if (!result) fail(result.error().message);
  fmt::print("{:.6f}\n", std::chrono::duration<double>(result->elapsed).count());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count > 1 ? arguments[1] : "";
  if (mode == "serve" && count == 3) return serve(arguments[2]);
  if (mode == "get" && count == 7) return get(arguments + 2);
  fail("usage: fetch serve FILE | fetch get PORT ROOT SIZE FOLDER NAME");
}
