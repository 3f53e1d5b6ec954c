/*
 * What follows a fault of the IOMMU: whether it is told, its device made quiet, its guest stopped,
 * or faults left alone for a while. Called by boot/iommu.c, which does it and owns the counts.
 */
#pragma once

#include "hv/iommu.h"

enum {
	IOMMU_FAULTS_TOLD = 8,	   /* of a device; then it is quiet */
	IOMMU_FAULTS_STORM = 1024, /* not told within a second: more than units' logs hold */
	IOMMU_FAULTS_STILL = 60,   /* seconds after which a device is as good as new */
	IOMMU_FAULTS_DEVICES = 64,
};

/* All zero: there was none yet. */
struct iommu_faults {
	struct iommu_faulty {
		uint16_t bdf;
		bool owned; /* what a device did before a guest had it does not count for it */
		unsigned faults;
		unsigned interrupts; /* within the second that began then */
		uint64_t second, last;
	} device[IOMMU_FAULTS_DEVICES];
	unsigned devices;
	unsigned lost; /* not told, within the second that began then */
	uint64_t second;
};

struct iommu_fault_verdict {
	bool told;
	bool last;  /* that is told, of its device */
	bool quiet; /* tell the unit so */
	bool many;  /* interrupt requests within a second: a unit cannot be quiet about those */
	bool storm; /* take no more of them for a second */
};

/* What this device of a guest has done does not count for the guest's next life. */
void iommu_faults_forget(struct iommu_faults *s, uint16_t bdf);

/* Counts it. now: host_tsc. */
struct iommu_fault_verdict iommu_faults_judge(struct iommu_faults *s, const struct iommu_fault *f,
					      uint64_t now);
