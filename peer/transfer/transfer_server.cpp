#include "peer/transfer/transfer_server.h"

#include <utility>

namespace espalier::transfer {

TransferServer::TransferServer(FileSource& source, SlotOptions slots, RateLimit* rate,
                               ServePolicy policy)
    : source_(source),
      budget_(slots.budget),
      slots_(slots, [this, rate, policy](net::BlockingStream& stream, std::stop_token stop) {
        const auto payer = budget_->account(Payer::host(stream.remote().endpoint().host));
        return begin(stream, {policy, {rate, std::move(stop)}, payer});
      }) {}

std::shared_ptr<Upload> TransferServer::begin(net::BlockingStream& stream,
                                              Upload::Options options) {
  auto upload = std::make_shared<Upload>(stream, Upload::Server{source_, counters_, lists_},
                                         std::move(options));
  uploads_.with([&](auto& all) {
    std::erase_if(all, [](const auto& each) { return each.expired(); });
    all.push_back(upload);
  });
  return upload;
}

std::vector<UploadStatus> TransferServer::uploads() const {
  const auto all = uploads_.with([](const auto& each) { return each; });
  std::vector<UploadStatus> result;
  for (const auto& each : all) {
    const auto upload = each.lock();
    auto status = upload ? upload->status() : std::nullopt;
    if (status) result.push_back(std::move(*status));
  }
  return result;
}

void TransferServer::serve(std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
  slots_.serve(std::move(stream), hello);
}

ServerStatus TransferServer::status() const {
  const auto slots = slots_.status();
  return {slots.serving, slots.waiting, slots.connections, counters_.chunks, counters_.bytes};
}

}  // namespace espalier::transfer
