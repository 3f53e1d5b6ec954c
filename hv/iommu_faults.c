/*
 * Counting faults of the IOMMU: see iommu_faults.h. A device may send them at its own pace, and
 * does so for ever if its guest wants that: no count may turn anything off for good.
 */
#include "hv/iommu_faults.h"
#include "hv/host.h"

static bool is_over(uint64_t begin, unsigned seconds, uint64_t now)
{
	return now - begin >= seconds * host_tsc_hz;
}

/* Its entry, or one for it; NULL: so many devices have faults that this one is not counted. */
static struct iommu_faulty *find(struct iommu_faults *s, const struct iommu_fault *f, uint64_t now)
{
	struct iommu_faulty *still = NULL;

	for (unsigned i = 0; i < s->devices; i++) {
		struct iommu_faulty *d = &s->device[i];
		bool idle = is_over(d->last, IOMMU_FAULTS_STILL, now);

		if (d->bdf == f->bdf && d->owned == f->owned) {
			d->faults = idle ? 0 : d->faults;
			return d;
		}
		still = idle ? d : still;
	}
	if (s->devices < IOMMU_FAULTS_DEVICES) {
		still = &s->device[s->devices++];
	}
	if (still) {
		*still = (struct iommu_faulty){.bdf = f->bdf, .owned = f->owned, .second = now};
	}
	return still;
}

static void count(struct iommu_faulty *d, const struct iommu_fault *f, uint64_t now)
{
	if (is_over(d->second, 1, now)) {
		d->second = now;
		d->interrupts = 0;
	}
	d->last = now;
	d->interrupts += f->interrupt;
	d->faults += d->faults <= IOMMU_FAULTS_TOLD; /* it does not come round to 0 */
}

void iommu_faults_forget(struct iommu_faults *s, uint16_t bdf)
{
	for (unsigned i = 0; i < s->devices; i++) {
		if (s->device[i].bdf == bdf && s->device[i].owned) {
			s->device[i].interrupts = 0;
			s->device[i].faults = 0;
		}
	}
}

static bool is_storm(struct iommu_faults *s, uint64_t now)
{
	if (!s->lost || is_over(s->second, 1, now)) {
		s->second = now;
		s->lost = 0;
	}
	if (++s->lost < IOMMU_FAULTS_STORM) {
		return false;
	}
	s->lost = 0;
	return true;
}

struct iommu_fault_verdict iommu_faults_judge(struct iommu_faults *s, const struct iommu_fault *f,
					      uint64_t now)
{
	struct iommu_fault_verdict v = {.quiet = true};
	struct iommu_faulty *d = find(s, f, now);

	if (d) {
		count(d, f, now);
		v.told = d->faults <= IOMMU_FAULTS_TOLD;
		v.last = d->faults == IOMMU_FAULTS_TOLD;
		/* Also later: it may have been given to another guest meanwhile. */
		v.quiet = d->faults >= IOMMU_FAULTS_TOLD;
		v.many = d->interrupts > IOMMU_FAULTS_TOLD;
	}
	v.storm = !v.told && is_storm(s, now);
	return v;
}
