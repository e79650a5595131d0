#include "engine/crossing.h"

#include <algorithm>

namespace rwkv::cuda {
namespace {
[[noreturn]] void mistake(const char* what) {
  throw Failure{"INTERNAL", what + std::string(": a mistake of @rwkv-ts/backend-cuda")};
}
}  // namespace

void Crossing::open_sending(Device& from) { sender_ = from.peer(); }

bool Crossing::reach(Device& to) { return to.reach(sender_); }

void Crossing::open_taking(Device& to, unsigned char* staged, size_t bytes) {
  if (!copied_) copied_ = to.create_event();
  staged_ = staged;
  bytes_ = bytes;
}

void Crossing::close_taking(Device& to) {
  if (!copied_) return;
  const CUevent closed = copied_;
  copied_ = nullptr;
  to.wait();
  to.release(closed);
}

void Crossing::require_fit(const std::vector<Stretch>& stretches) const {
  for (const Stretch& each : stretches) {
    if (each.offset > bytes_ || each.bytes > bytes_ - each.offset) mistake("a crossing is too narrow");
  }
}

void Crossing::begin(uint64_t round) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return taken_ + 1 >= round; });
}

void Crossing::send(Device& from, uint64_t round, const std::vector<Stretch>& stretches) {
  require_fit(stretches);
  if (staged_) {
    for (const Stretch& each : stretches) {
      if (each.bytes > 0) from.copy_to_host(staged_ + each.offset, each.at, each.bytes);
    }
  }
  from.wait();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    sent_ = round;
    sent_stretches_ = stretches;
    given_up_ = false;
  }
  changed_.notify_all();
}

void Crossing::take(Device& to, uint64_t round, const std::vector<Stretch>& stretches) {
  std::vector<Stretch> sent;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return sent_ >= round; });
    if (given_up_) throw Failure{"NOT_SENT", "another device sent nothing"};
    sent = sent_stretches_;
  }
  require_fit(stretches);
  if (sent.size() != stretches.size()) mistake("what is taken is not what was sent");
  for (size_t i = 0; i < stretches.size(); i++) {
    const auto& [at, offset, bytes] = stretches[i];
    if (bytes != sent[i].bytes || offset != sent[i].offset) mistake("what is taken is not what was sent");
    if (bytes == 0) continue;
    if (staged_) to.copy_from_host(at, staged_ + offset, bytes);
    else to.copy_from_peer(at, sender_, sent[i].at, bytes);
  }
  to.record(copied_);
}

void Crossing::confirm(Device& to, uint64_t round) {
  to.wait(copied_);
  give_up_taking(round);
}

void Crossing::give_up_sending(uint64_t round) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sent_ >= round) return;
    sent_ = round;
    given_up_ = true;
  }
  changed_.notify_all();
}

void Crossing::give_up_taking(uint64_t round) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    taken_ = std::max(taken_, round);
  }
  changed_.notify_all();
}

}  // namespace rwkv::cuda
