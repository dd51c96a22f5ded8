// The door to libzmq: found by pkg-config, imported by the ZeroMQ room alone.
#ifndef WIZ_CZEROMQ_SHIM_H
#define WIZ_CZEROMQ_SHIM_H

#include <zmq.h>

#endif
