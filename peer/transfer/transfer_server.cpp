#include "peer/transfer/transfer_server.h"

#include <utility>

namespace espalier::transfer {

TransferServer::TransferServer(FileSource& source, SlotOptions options, RateLimit* rate)
    : source_(source),
      slots_(options, [this, rate](int socket, std::string_view behind, std::stop_token stop) {
        return serveOne(socket, behind, {rate, std::move(stop)});
      }) {}

Result<void> TransferServer::serveOne(int socket, std::string_view behind, Pace pace) {
  Upload upload(socket, behind, source_, counters_, std::move(pace));
  const auto place = uploads_.with([&](auto& all) { return all.insert(all.end(), &upload); });
  auto ended = upload.run();
  uploads_.with([&](auto& all) { all.erase(place); });
  return ended;
}

std::vector<UploadStatus> TransferServer::uploads() const {
  return uploads_.with([](const auto& all) {
    std::vector<UploadStatus> result;
    for (const Upload* upload : all) {
      if (auto status = upload->status()) result.push_back(std::move(*status));
    }
    return result;
  });
}

void TransferServer::serve(FileDescriptor socket, const wire::Hello& hello, std::string behind) {
  slots_.serve(std::move(socket), hello, std::move(behind));
}

ServerStatus TransferServer::status() const {
  const auto slots = slots_.status();
  return {slots.serving, slots.waiting, counters_.chunks, counters_.bytes};
}

}  // namespace espalier::transfer
