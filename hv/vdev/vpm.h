/*
 * Power: ACPI PM timer, PM1a event and control blocks, and the three reset ports (ACPI specification,
 * "ACPI Hardware Specification"; 0xcf9 of the ICH; port 0x92; command 0xfe of the 8042 at 0x64).
 *
 * What the guest asks for goes out through vpm.end, at most once. The 8042 answers as one without
 * keyboard or mouse: status 0x1c... no output, self test (0xaa -> 0x55), command byte, A20 through
 * output port commands (always on), pulse reset. Shared under the partition's device lock.
 */
#pragma once

#include "hv/bus.h"

enum { VPM_TIMER_HZ = 3579545, VPM_PM1_EVT = 0x600, VPM_PM1_CNT = 0x604, VPM_TIMER = 0x608,
       VPM_SLP_TYP_S5 = 5, VPM_SCI_GSI = 9 };

enum vpm_end { VPM_POWER_OFF, VPM_RESET };

struct vpm {
	uint64_t tsc_hz;
	uint16_t pm1_status, pm1_enable, pm1_control;
	uint8_t reset_control; /* 0xcf9 */
	uint8_t port92;
	uint8_t kbc_command, kbc_command_byte, kbc_output_port, kbc_data;
	bool kbc_full;
	void (*end)(void *ctx, enum vpm_end how, const char *by); /* by: "ACPI S5", "port 0xcf9", ... */
	void *ctx;
	struct irq_sink sink; /* SCI */
};

void vpm_init(struct vpm *p, uint64_t tsc_hz, void (*end)(void *, enum vpm_end, const char *),
	      void *ctx, struct irq_sink sink);
void vpm_reset(struct vpm *p);
/* PM1 event 0x600 size 4, PM1 control 0x604 size 2, PM timer 0x608 size 4: widths 2, 2, 4. */
extern const struct vdev_ops vpm_event_ops, vpm_control_ops, vpm_timer_ops;
extern const struct vdev_ops vpm_cf9_ops;    /* 0xcf9 size 1, width 1 */
extern const struct vdev_ops vpm_port92_ops; /* 0x92 size 1, width 1 */
extern const struct vdev_ops vpm_kbc_data_ops, vpm_kbc_status_ops; /* 0x60, 0x64, size 1, width 1 */
