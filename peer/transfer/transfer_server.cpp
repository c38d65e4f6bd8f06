#include "peer/transfer/transfer_server.h"

#include <utility>

namespace espalier::transfer {

TransferServer::TransferServer(FileSource& source, SlotOptions options)
    : source_(source), slots_(options, [this](int socket, std::string_view behind) {
        return Upload(socket, behind, source_, counters_).run();
      }) {}

void TransferServer::serve(FileDescriptor socket, const wire::Hello& hello, std::string behind) {
  slots_.serve(std::move(socket), hello, std::move(behind));
}

ServerStatus TransferServer::status() const {
  const auto slots = slots_.status();
  return {slots.serving, slots.waiting, counters_.chunks, counters_.bytes};
}

}  // namespace espalier::transfer
