// Statistics (statistics.h) as protobuf and back: registry_codec.h and cluster_codec.h have the
// frames that contain them. A message that fails is an error of code `protocol`. Stateless;
// thread-safe.
#pragma once

#include "common/base/result.h"
#include "common/wire/statistics.h"

namespace espalier::proto {
class Statistics;
class StatisticsRequest;
}  // namespace espalier::proto

namespace espalier::wire {

void toProto(const StatisticsRequest& request, proto::StatisticsRequest& out);
void toProto(const Statistics& statistics, proto::Statistics& out);
Result<StatisticsRequest> fromProto(const proto::StatisticsRequest& in);
Result<Statistics> fromProto(const proto::Statistics& in);

}  // namespace espalier::wire
