/**
 * Node-API as every addon here uses it. Include this and never <napi.h>, so that all files of an addon are compiled with
 * the same settings.
 */
#pragma once

#ifdef SRC_NAPI_H_
#error "include <rwkv/addon/node-api.h> in place of <napi.h>"
#endif

#define NAPI_VERSION 8
// Node-API's functions return their errors.
#define NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS
#define NODE_ADDON_API_DISABLE_DEPRECATED
// A worker can be terminated while its thread is in the addon; node-addon-api then ends the process otherwise.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS

#include <napi.h>
