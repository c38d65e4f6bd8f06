#include "peer/transfer/downloader.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "common/base/text.h"
#include "common/wire/file_form.h"
#include "peer/transfer/fetch_job.h"
#include "peer/transfer/part_file.h"
#include "peer/transfer/size_claims.h"
#include "peer/transfer/target.h"

namespace espalier::transfer {
namespace {

Error differs(const Target& target) {
  return {ErrorCode::failed,
          fmt::format("{} exists and differs: --force overwrites it, -o PATH saves elsewhere",
                      escaped(target.path()))};
}

}  // namespace

Result<FetchResult> Downloader::fetch(const FetchRequest& request, std::stop_token stop,
                                      const ProgressCallback& progress) const {
  FetchRequest one = request;
  if (!one.dials) one.dials = std::make_shared<DialTargets>();
  if (request.otherSizes.empty()) return fetchOfSize(one, std::move(stop), progress);
  auto claims = request.otherSizes;
  claims.push_back({request.size, request.holders});
  std::optional<Error> problem;
  one.otherSizes.clear();
  for (auto& claim :
       askSizes(request.root, std::move(claims), *one.dials, options_.timeouts, stop)) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    one.size = claim.size;
    one.holders = std::move(claim.holders);
    auto fetched = fetchOfSize(one, stop, progress);
    if (fetched || fetched.error().code == ErrorCode::interrupted) return fetched;
    if (!problem) problem = fetched.error();
  }
  return *problem;
}

Result<FetchResult> Downloader::fetchOfSize(const FetchRequest& request, std::stop_token stop,
                                            const ProgressCallback& progress) const {
  const TimePoint started = Clock::now();
  if (!wire::isPossibleFile(request.root, request.size)) {
    return Error{ErrorCode::protocol, "no file has that size and that root"};
  }
  auto target = Target::locate(request.folder, request.saveAs, request.dots);
  if (!target) return target.error();
  FetchResult result;
  result.path = target->path();
  result.size = request.size;
  const auto existing = target->compare(request.root, request.size, stop);
  if (!existing) return existing.error();
  if (*existing == Target::Existing::same) {
    result.alreadyThere = true;
    result.elapsed = Clock::now() - started;
    return result;
  }
  if (*existing == Target::Existing::different && !request.force) return differs(*target);

  auto folder = target->partFolder(options_.stateFolder);
  if (!folder) return folder.error();
  auto part =
      PartFile::open(std::make_shared<PartFolder>(std::move(*folder)), request.root, request.size);
  if (!part) return part.error();
  FetchJob job(request, options_, *part);
  if (auto fetched = job.run(stop, progress); !fetched) return fetched.error();
  job.report(result);
  if (auto synced = part->sync(); !synced) return synced.error();
  if (options_.verified) options_.verified(part->path(), request.root, part->plan().hashes);

  auto place = target->folder();
  if (!place) return place.error();
  const auto published = part->publish(place->get(), target->leaf(), request.force);
  if (!published) return published.error();
  if (!*published) return differs(*target);  // it was created during the fetch
  target->removePartFolder();
  result.elapsed = Clock::now() - started;
  return result;
}

}  // namespace espalier::transfer
