// The services that a peer's commands are built on, one reference each. A command takes those
// that it needs. LocalPeer has the real ones; tests have their own. The services may be used by any
// number of command threads.
#pragma once

#include <functional>

#include "peer/shell/download_service.h"
#include "peer/shell/feedback_service.h"
#include "peer/shell/private_service.h"
#include "peer/shell/push_service.h"
#include "peer/shell/room_service.h"
#include "peer/shell/search_service.h"
#include "peer/shell/share_service.h"
#include "peer/shell/status_service.h"
#include "peer/shell/topology_service.h"
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

struct Services {
  SearchService& search;
  DownloadService& downloads;
  TransferService& transfers;
  PushService& pushes;
  ShareService& share;
  TopologyService& topology;
  StatusService& status;
  PrivateService& privates;
  RoomService& rooms;
  FeedbackService& feedback;
  // Asks the program to end, and returns at once: the answer still has to reach the client.
  std::function<void()> stop;
};

}  // namespace espalier::peer::shell
