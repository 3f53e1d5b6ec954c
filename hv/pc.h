/*
 * The virtual PC of a partition: all shared devices, wired up and claimed on its two buses.
 *
 * Devices that several vCPUs share are touched only under `lock`, which belongs to this partition
 * alone, so no guest can hold up another. LAPICs are per vCPU and need no lock.
 */
#pragma once

#include "hv/lib/lock.h"
#include "hv/vdev/vioapic.h"
#include "hv/vdev/vpci.h"
#include "hv/vdev/vpic.h"
#include "hv/vdev/vpit.h"
#include "hv/vdev/vpm.h"
#include "hv/vdev/vrtc.h"
#include "hv/vdev/vuart.h"

struct partition;

struct pc {
	struct lock lock;
	struct bus ports, mmio;
	struct vioapic ioapic;
	struct vpic pic;
	struct vpit pit;
	struct vrtc rtc;
	struct vpm pm;
	struct vuart uart;
	struct vpci pci;
	bool has_uart;
	_Atomic uint64_t deadline; /* host TSC of the earliest of PIT and RTC; boot vCPU serves it */
};

bool pc_create(struct partition *p, struct refusal *r);
void pc_reset(struct partition *p);
/* Runs what is due, and recomputes pc.deadline. Boot vCPU's CPU. */
void pc_run(struct partition *p, uint64_t now);
