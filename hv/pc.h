/*
 * The virtual PC of a partition: all shared devices, wired up and claimed on its two buses.
 *
 * Devices that several vCPUs share are touched only under `lock`, which belongs to this partition
 * alone, so no guest can hold up another. LAPICs are per vCPU and need no lock.
 */
#pragma once

#include "hv/config.h"
#include "hv/lib/lock.h"
#include "hv/vdev/vioapic.h"
#include "hv/vdev/vpci.h"
#include "hv/vdev/vpic.h"
#include "hv/vdev/vpit.h"
#include "hv/vdev/vpm.h"
#include "hv/vdev/vrtc.h"
#include "hv/vdev/vuart.h"

struct partition;
struct vcpu;

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
	_Atomic uint64_t deadline; /* host TSC of the earliest of PIT, RTC and PM timer; boot vCPU serves it */
};

/* Wires everything up and claims ports and MMIO. Boot CPU, once. */
bool pc_create(struct partition *p, struct refusal *r);
/* RESET# of all shared devices. */
void pc_reset(struct partition *p);
/* Runs what is due, and recomputes pc.deadline. Boot vCPU's CPU. */
void pc_run(struct partition *p, uint64_t now);

/* One access by vCPU `v`, under the lock. False: nobody claims any byte of it (reads gave ones). */
bool pc_port(struct vcpu *v, uint16_t port, struct bus_access *a);
bool pc_mmio(struct vcpu *v, gpa_t gpa, struct bus_access *a);

/* The INTA cycle of the 8259s. */
uint8_t pc_pic_ack(struct partition *p);
/* EOI of a level-triggered vector. */
void pc_eoi(struct partition *p, uint8_t vector);
/* Typed bytes arrived or the output ring drained. */
void pc_uart_update(struct partition *p);
