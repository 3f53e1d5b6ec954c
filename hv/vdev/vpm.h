/*
 * Power: ACPI PM timer, PM1a event and control blocks, and the three reset ports (ACPI
 * specification, "ACPI Hardware Specification"; 0xcf9 of the ICH; port 0x92; the 8042 at 0x60,
 * 0x64).
 *
 * What the guest asks for goes out through vpm.end, at most once until vpm_reset. The 8042 is one
 * without keyboard and mouse: it has self test, command byte, output port (A20, reset) and echo
 * commands, and what is sent to a device is answered at once by its time-out, so that drivers learn
 * quickly that nobody is there. A20 is always on. Shared under the partition's device lock.
 */
#pragma once

#include "hv/bus.h"
#include "hv/lib/scale.h"

enum {
	VPM_TIMER_HZ = 3579545,
	VPM_PM1_EVT = 0x600,
	VPM_PM1_CNT = 0x604,
	VPM_TIMER = 0x608,
	VPM_SLP_TYP_S5 = 5,
	VPM_SCI_GSI = 9
};

enum vpm_end { VPM_POWER_OFF, VPM_RESET };

struct vpm {
	struct scale ticks, tsc; /* from TSC to timer ticks, and back */
	uint16_t pm1_status, pm1_enable, pm1_control;
	bool sci;		/* state of the line */
	uint64_t timer_toggles; /* of the timer's bit 31, that pm1_status has seen */
	uint64_t deadline;	/* host TSC of the next SCI by the timer, UINT64_MAX: none */
	uint8_t reset_control;	/* 0xcf9 */
	uint8_t port92;
	uint8_t kbc_command; /* that waits for its data byte, 0: none */
	uint8_t kbc_command_byte, kbc_output_port, kbc_data, kbc_status;
	bool kbc_irq; /* state of IRQ 1 */
	bool ended;
	/* by: "ACPI S5", "port 0xcf9", "port 0x92" or "keyboard controller" */
	void (*end)(void *ctx, enum vpm_end how, const char *by);
	void *ctx;
	struct irq_sink sink; /* SCI (level, active high) and IRQ 1 */
};

void vpm_init(struct vpm *p, uint64_t tsc_hz, void (*end)(void *, enum vpm_end, const char *),
	      void *ctx, struct irq_sink sink);
void vpm_reset(struct vpm *p);
static inline uint64_t vpm_next(const struct vpm *p)
{
	return p->deadline;
}
/* Drives the SCI when the guest enabled the timer's event and its bit 31 changed (every 10 min). */
void vpm_run(struct vpm *p, uint64_t now);
/* PM1 event 0x600 size 4, PM1 control 0x604 size 2, PM timer 0x608 size 4: widths 2, 2, 4. */
extern const struct vdev_ops vpm_event_ops, vpm_control_ops, vpm_timer_ops;
extern const struct vdev_ops vpm_cf9_ops;			   /* 0xcf9 size 1, width 1 */
extern const struct vdev_ops vpm_port92_ops;			   /* 0x92 size 1, width 1 */
extern const struct vdev_ops vpm_kbc_data_ops, vpm_kbc_status_ops; /* 0x60, 0x64, size 1, width 1 */
