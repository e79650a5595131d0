/**
 * Over 400 lines because it is every function of the addon.
 *
 * The functions that src/native.ts declares, in its order. Every promise is that of a job on the engine's thread.
 * Arguments were checked there; here only what memory safety needs is.
 */
#include <rwkv/addon/queue-handle.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/crossing.h"
#include "engine/engine.h"

#ifndef RWKV_CUDA_VERSION
#define RWKV_CUDA_VERSION "0.0.0"
#endif

namespace rwkv::addon {

using cuda::Crossing;
using cuda::Engine;
using cuda::Passage;
using EngineHandle = QueueHandle<Engine>;

template <>
struct TypeTag<EngineHandle> {
  static constexpr napi_type_tag value = {0x7277b76b63756461, 0x1};
};
template <>
struct TypeTag<Crossing> {
  static constexpr napi_type_tag value = {0x7277b76b63756461, 0x2};
};

namespace {

/** A job made of what it does and of what it resolves to. */
template <class Work, class Result>
class EngineJob final : public AddonJob<Engine> {
 public:
  EngineJob(Napi::Env env, std::shared_ptr<EngineHandle> queue, Work work, Result result)
      : AddonJob(env, std::move(queue)), work_(std::move(work)), result_(std::move(result)) {}

  void work(Engine& engine) override {
    try {
      work_(engine);
    } catch (const cuda::Failure& failure) {
      fail(failure.code, failure.message);
    }
  }
  Napi::Value result(Napi::Env env) override { return result_(env, work_); }

 private:
  Work work_;
  Result result_;
};

template <class Work, class Result>
Napi::Value enqueue(const Napi::CallbackInfo& info, Work work, Result result) {
  const auto queue = unwrap<EngineHandle>(info[0]);
  if (!queue) return info.Env().Undefined();
  using Own = EngineJob<Work, Result>;
  return queue->enqueue(info.Env(), std::make_unique<Own>(info.Env(), queue, std::move(work), std::move(result)));
}

template <class Work>
Napi::Value enqueue(const Napi::CallbackInfo& info, Work work) {
  return enqueue(info, std::move(work), [](Napi::Env env, const Work&) -> Napi::Value { return env.Undefined(); });
}

Napi::Value to_number(Napi::Env env, double value) { return Napi::Number::New(env, value); }
Napi::Value to_number(Napi::Env env, uint64_t value) { return to_number(env, static_cast<double>(value)); }

// ---- The device -------------------------------------------------------------------------------------------------

/** createEngine(spinMicroseconds) */
Napi::Value create_engine(const Napi::CallbackInfo& info) {
  auto handle = EngineHandle::create(info.Env(), std::make_shared<Engine>(), {"rwkv-cuda", small(info, 0)});
  if (!handle) return out_of_memory(info.Env(), "the system gives no more threads");
  return wrap(info.Env(), std::move(handle));
}

/** openDevice(engine, driver, ordinal) */
Napi::Value open_device(const Napi::CallbackInfo& info) {
  struct Work {
    cuda::DeviceOptions options;
    cuda::DeviceFacts facts;
    void operator()(Engine& engine) {
      engine.open(options);
      facts = engine.device().facts();
    }
  };
  cuda::DeviceOptions options;
  options.driver = text(info, 1);
  options.ordinal = static_cast<int>(std::min<uint32_t>(small(info, 2), INT32_MAX));
  return enqueue(info, Work{std::move(options), {}}, [](Napi::Env env, const Work& work) {
    const cuda::DeviceFacts& facts = work.facts;
    return object_of(env, {{"name", Napi::String::New(env, facts.name)},
                           {"driverVersion", to_number(env, static_cast<double>(facts.driver_version))},
                           {"capability", to_number(env, static_cast<double>(facts.capability))},
                           {"multiprocessors", to_number(env, static_cast<double>(facts.multiprocessors))},
                           {"totalBytes", to_number(env, uint64_t{facts.total_bytes})},
                           {"sharedBytes", to_number(env, uint64_t{facts.shared_bytes})},
                           {"secondCacheBytes", to_number(env, uint64_t{facts.second_cache_bytes})}});
  });
}

/** loadModule(engine, image) */
Napi::Value load_module(const Napi::CallbackInfo& info) {
  if (!is_array<uint8_t>(info[1])) return type_error(info.Env(), "bad image");
  return enqueue(info, [image = Pinned<Napi::Uint8Array>(info[1].As<Napi::Uint8Array>())](Engine& engine) {
    engine.device().load_module(image.data());
  });
}

/** findKernels(engine, names) */
Napi::Value find_kernels(const Napi::CallbackInfo& info) {
  if (!info[1].IsArray()) return type_error(info.Env(), "bad names");
  std::vector<std::string> names;
  const auto given = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++) {
    const Napi::Value name = given.Get(i);
    if (!name.IsString()) return type_error(info.Env(), "bad names");
    names.push_back("rwkv_" + name.As<Napi::String>().Utf8Value());
  }
  return enqueue(info, [names = std::move(names)](Engine& engine) { engine.device().find_kernels(names); });
}

/** kernelCosts(engine): registers and bytes of local memory of each kernel */
Napi::Value kernel_costs(const Napi::CallbackInfo& info) {
  struct Work {
    std::vector<uint32_t> numbers;
    void operator()(Engine& engine) {
      for (const auto& [registers, local] : engine.device().kernel_costs()) {
        numbers.push_back(static_cast<uint32_t>(registers));
        numbers.push_back(static_cast<uint32_t>(local));
      }
    }
  };
  return enqueue(info, Work{}, [](Napi::Env env, const Work& work) {
    return copy_of(env, work.numbers.data(), work.numbers.size());
  });
}

/** freeBytes(engine) */
Napi::Value free_bytes(const Napi::CallbackInfo& info) {
  struct Work {
    uint64_t bytes = 0;
    void operator()(Engine& engine) { bytes = engine.device().free_bytes(); }
  };
  return enqueue(info, Work{}, [](Napi::Env env, const Work& work) { return to_number(env, work.bytes); });
}

// ---- Memory -----------------------------------------------------------------------------------------------------

/** allocate(engine, bytes), allocateHost(engine, bytes) */
template <bool on_host>
Napi::Value allocate(const Napi::CallbackInfo& info) {
  struct Work {
    size_t bytes;
    uint64_t address = 0;
    void operator()(Engine& engine) { address = on_host ? engine.allocate_host(bytes) : engine.allocate(bytes); }
  };
  return enqueue(info, Work{size(info, 1)}, [](Napi::Env env, const Work& work) { return to_number(env, work.address); });
}

/** release(engine, address) */
Napi::Value release_memory(const Napi::CallbackInfo& info) {
  return enqueue(info, [address = uint64_t{size(info, 1)}](Engine& engine) { engine.release(address); });
}

struct Part {
  uint64_t first, second, bytes;
};

/** Three whole numbers each. */
bool read_parts(const Napi::Value& value, std::vector<Part>& parts) {
  Numbers<double> numbers;
  if (!read_array(value, numbers) || numbers.count % 3 != 0) return false;
  for (size_t i = 0; i < numbers.count; i += 3) {
    size_t part[3];
    for (size_t j = 0; j < 3; j++) {
      if (!whole(numbers.data[i + j], part[j])) return false;
    }
    parts.push_back({part[0], part[1], part[2]});
  }
  return true;
}

/** Whether the second number of each is an offset into an array so long. */
bool fit(const std::vector<Part>& parts, size_t length) {
  return std::all_of(parts.begin(), parts.end(), [length](const Part& part) {
    return part.second <= length && part.bytes <= length - part.second;
  });
}

/** upload(engine, bytes, parts): [to, offset in bytes, length] each */
Napi::Value upload(const Napi::CallbackInfo& info) {
  std::vector<Part> parts;
  if (!is_array<uint8_t>(info[1]) || !read_parts(info[2], parts)) return type_error(info.Env(), "bad upload");
  Pinned<Napi::Uint8Array> bytes(info[1].As<Napi::Uint8Array>());
  if (!fit(parts, bytes.length())) return type_error(info.Env(), "an upload reaches beyond its bytes");
  return enqueue(info, [bytes = std::move(bytes), parts = std::move(parts)](Engine& engine) {
    for (const Part& part : parts) engine.upload(part.first, bytes.data() + part.second, part.bytes);
  });
}

/** download(engine, bytes, parts): [from, offset in bytes, length] each; resolves to bytes */
Napi::Value download(const Napi::CallbackInfo& info) {
  struct Work {
    Pinned<Napi::Uint8Array> bytes;
    std::vector<Part> parts;
    void operator()(Engine& engine) {
      for (const Part& part : parts) engine.download(bytes.data() + part.second, part.first, part.bytes);
    }
  };
  std::vector<Part> parts;
  if (!is_array<uint8_t>(info[1]) || !read_parts(info[2], parts)) return type_error(info.Env(), "bad download");
  Pinned<Napi::Uint8Array> bytes(info[1].As<Napi::Uint8Array>());
  if (!fit(parts, bytes.length())) return type_error(info.Env(), "a download reaches beyond its bytes");
  return enqueue(info, Work{std::move(bytes), std::move(parts)},
                 [](Napi::Env, const Work& work) { return work.bytes.value(); });
}

/** copy(engine, parts): [to, from, length] each */
Napi::Value copy(const Napi::CallbackInfo& info) {
  std::vector<Part> parts;
  if (!read_parts(info[1], parts)) return type_error(info.Env(), "bad copy");
  return enqueue(info, [parts = std::move(parts)](Engine& engine) {
    for (const Part& part : parts) engine.copy(part.first, part.second, part.bytes);
  });
}

/** fillZero(engine, address, bytes) */
Napi::Value fill_zero(const Napi::CallbackInfo& info) {
  return enqueue(info, [address = uint64_t{size(info, 1)}, bytes = size(info, 2)](Engine& engine) {
    engine.fill_zero(address, bytes);
  });
}

// ---- From device to device --------------------------------------------------------------------------------------

/** createCrossing() */
Napi::Value create_crossing(const Napi::CallbackInfo& info) { return wrap(info.Env(), std::make_shared<Crossing>()); }

/** openSending(engine, crossing): on the sender's */
Napi::Value open_sending(const Napi::CallbackInfo& info) {
  const auto crossing = unwrap<Crossing>(info[1]);
  if (!crossing) return info.Env().Undefined();
  return enqueue(info, [crossing](Engine& engine) { crossing->open_sending(engine.device()); });
}

/** reachSender(engine, crossing): on the taker's; whether copies need not go through the host's memory */
Napi::Value reach_sender(const Napi::CallbackInfo& info) {
  struct Work {
    std::shared_ptr<Crossing> crossing;
    bool reaches = false;
    void operator()(Engine& engine) { reaches = crossing->reach(engine.device()); }
  };
  auto crossing = unwrap<Crossing>(info[1]);
  if (!crossing) return info.Env().Undefined();
  return enqueue(info, Work{std::move(crossing)}, [](Napi::Env env, const Work& work) -> Napi::Value {
    return Napi::Boolean::New(env, work.reaches);
  });
}

/** openTaking(engine, crossing, staged, bytes): on the taker's; `staged` is memory of the host that it has, or 0 */
Napi::Value open_taking(const Napi::CallbackInfo& info) {
  const auto crossing = unwrap<Crossing>(info[1]);
  if (!crossing) return info.Env().Undefined();
  return enqueue(info, [crossing, staged = uint64_t{size(info, 2)}, bytes = size(info, 3)](Engine& engine) {
    unsigned char* host = staged == 0 ? nullptr : engine.check(staged, bytes);
    if (staged != 0 && !host) throw cuda::Failure{"INTERNAL", "a crossing leads through memory of a device"};
    crossing->open_taking(engine.device(), host, bytes);
  });
}

/** closeTaking(engine, crossing): on the taker's */
Napi::Value close_taking(const Napi::CallbackInfo& info) {
  const auto crossing = unwrap<Crossing>(info[1]);
  if (!crossing) return info.Env().Undefined();
  return enqueue(info, [crossing](Engine& engine) { crossing->close_taking(engine.device()); });
}

/** From `at` on: a crossing, and [address, offset in its memory, length] of each part; empty where it is undefined. */
bool read_passage(const Napi::CallbackInfo& info, size_t at, Passage::End end, uint64_t round,
                  std::optional<Passage>& passage) {
  if (info[at].IsUndefined()) return true;
  auto crossing = unwrap<Crossing>(info[at]);
  std::vector<Part> parts;
  if (!crossing || !read_parts(info[at + 1], parts)) return false;
  std::vector<cuda::Stretch> stretches;
  for (const Part& part : parts) stretches.push_back({part.first, part.second, part.bytes});
  passage.emplace(std::move(crossing), end, round, std::move(stretches));
  return true;
}

/** What a job takes from another device, does, and sends to another one. */
struct Round {
  std::optional<Passage> taking, sending;

  template <class Do>
  void operator()(Engine& engine, Do&& work) {
    try {
      for (const auto& passage : {&taking, &sending}) {
        if (!*passage) continue;
        for (const cuda::Stretch& each : (*passage)->stretches()) {
          if (engine.check(each.at, each.bytes)) throw cuda::Failure{"INTERNAL", "what crosses is not on a device"};
        }
      }
      if (sending) sending->begin();
      if (taking) taking->take(engine.device());
      work();
      if (taking) taking->confirm(engine.device());
      if (sending) sending->send(engine.device());
    } catch (...) {
      // What was started must be over before the other device hears that nothing comes.
      try {
        engine.device().wait();
      } catch (const cuda::Failure&) {
      }
      if (taking) taking->give_up();
      if (sending) sending->give_up();
      throw;
    }
  }
};

/** send(engine, round, crossing, parts), take(engine, round, crossing, parts) */
template <Passage::End end>
Napi::Value cross(const Napi::CallbackInfo& info) {
  struct Work {
    Round round;
    void operator()(Engine& engine) {
      round(engine, [] {});
    }
  };
  Work work;
  auto& passage = end == Passage::End::sending ? work.round.sending : work.round.taking;
  if (!read_passage(info, 2, end, size(info, 1), passage) || !passage) return type_error(info.Env(), "bad crossing");
  return enqueue(info, std::move(work));
}

// ---- Steps ------------------------------------------------------------------------------------------------------

/** launches, arguments, step: eight numbers a launch, as cuda::Launch has them. */
bool read_launches(const Napi::CallbackInfo& info, size_t at, cuda::LaunchList& list) {
  Numbers<uint32_t> launches;
  Numbers<uint8_t> arguments;
  if (!read_array(info[at], launches) || !read_array(info[at + 1], arguments) || launches.count % 8 != 0) return false;
  for (size_t i = 0; i < launches.count; i += 8) {
    const uint32_t* word = launches.data + i;
    const cuda::Launch launch{word[0], {word[1], word[2], word[3]}, word[4], word[5], word[6], word[7]};
    if (launch.offset > arguments.count || launch.bytes > arguments.count - launch.offset) return false;
    list.launches.push_back(launch);
  }
  list.arguments.assign(arguments.data, arguments.data + arguments.count);
  list.step = size(info, at + 2);
  return true;
}

/** launch(engine, launches, arguments, step) */
Napi::Value launch(const Napi::CallbackInfo& info) {
  cuda::LaunchList list;
  if (!read_launches(info, 1, list)) return type_error(info.Env(), "bad launches");
  return enqueue(info, [list = std::move(list)](Engine& engine) { engine.device().launch(list); });
}

/** capture(engine, graph, launches, arguments, step) */
Napi::Value capture(const Napi::CallbackInfo& info) {
  cuda::LaunchList list;
  if (!read_launches(info, 2, list)) return type_error(info.Env(), "bad launches");
  return enqueue(info, [list = std::move(list), graph = uint64_t{size(info, 1)}](Engine& engine) {
    engine.keep(graph, engine.device().capture(list));
  });
}

/** releaseGraph(engine, graph) */
Napi::Value release_graph(const Napi::CallbackInfo& info) {
  return enqueue(info, [graph = uint64_t{size(info, 1)}](Engine& engine) { engine.release_graph(graph); });
}

/**
 * run(engine, graph, header, headerAddress, rowsAddress, output, round, taken, takenParts, sent, sentParts): resolves
 * to output. `graph` 0 is none; `taken` and `sent` are crossings or undefined.
 */
Napi::Value run(const Napi::CallbackInfo& info) {
  struct Work {
    uint64_t graph, header_address, rows_address;
    std::vector<uint32_t> header;
    Pinned<Napi::Float32Array> output;
    Round round;
    void operator()(Engine& engine) {
      round(engine, [&] {
        engine.upload(header_address, header.data(), header.size() * sizeof(uint32_t));
        if (graph != 0) engine.device().replay(engine.graph(graph));
      });
      if (output.length() > 0) engine.download(output.data(), rows_address, output.length() * sizeof(float));
      else if (!round.sending) engine.device().wait();
    }
  };
  Numbers<uint32_t> header;
  Round round;
  const uint64_t number = size(info, 6);
  if (!read_array(info[2], header) || !is_array<float>(info[5]) ||
      !read_passage(info, 7, Passage::End::taking, number, round.taking) ||
      !read_passage(info, 9, Passage::End::sending, number, round.sending)) {
    return type_error(info.Env(), "bad step");
  }
  Work work{size(info, 1),
            size(info, 3),
            size(info, 4),
            {header.data, header.data + header.count},
            Pinned<Napi::Float32Array>(info[5].As<Napi::Float32Array>()),
            std::move(round)};
  return enqueue(info, std::move(work), [](Napi::Env, const Work& done) { return done.output.value(); });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  add_common_functions(env, exports, RWKV_CUDA_VERSION);
  add<create_engine>(env, exports, "createEngine");
  add<open_device>(env, exports, "openDevice");
  add<load_module>(env, exports, "loadModule");
  add<find_kernels>(env, exports, "findKernels");
  add<kernel_costs>(env, exports, "kernelCosts");
  add<free_bytes>(env, exports, "freeBytes");
  add<allocate<false>>(env, exports, "allocate");
  add<allocate<true>>(env, exports, "allocateHost");
  add<release_memory>(env, exports, "release");
  add<upload>(env, exports, "upload");
  add<download>(env, exports, "download");
  add<copy>(env, exports, "copy");
  add<fill_zero>(env, exports, "fillZero");
  add<create_crossing>(env, exports, "createCrossing");
  add<open_sending>(env, exports, "openSending");
  add<reach_sender>(env, exports, "reachSender");
  add<open_taking>(env, exports, "openTaking");
  add<close_taking>(env, exports, "closeTaking");
  add<cross<Passage::End::sending>>(env, exports, "send");
  add<cross<Passage::End::taking>>(env, exports, "take");
  add<launch>(env, exports, "launch");
  add<capture>(env, exports, "capture");
  add<release_graph>(env, exports, "releaseGraph");
  add<run>(env, exports, "run");
  add<drain_engine<Engine>>(env, exports, "drainEngine");
  add<stop_engine<Engine>>(env, exports, "stopEngine");
  return exports;
}

}  // namespace

NODE_API_MODULE(rwkv_cuda, initialise)

}  // namespace rwkv::addon
