/** What the steps of a job ran in, as it was when the job was submitted. */

import React, { useState } from 'react';

import { IEnvironment, IJob } from './api';
import { useFractal } from './fractal';
import { Installed } from './installed';
import { useFetched } from './live';
import { Facts, Problem } from './parts';
import { groupName, printable } from './words';

export function RanIn(props: { job: IJob }): JSX.Element {
  const { job } = props;
  const [opened, setOpened] = useState(false);
  return (
    <details className="fj-fold" onToggle={event => setOpened(event.currentTarget.open)}>
      <summary>What it ran in</summary>
      {opened &&
        job.steps.map(step => (
          <section key={step.position} aria-label={`What step ${step.position} ran in`}>
            {job.steps.length > 1 && <h2>{`${step.position}: ${printable(step.task)}`}</h2>}
            <StepRanIn job={job} position={step.position} />
          </section>
        ))}
    </details>
  );
}

function StepRanIn(props: { job: IJob; position: number }): JSX.Element {
  const { api, changes } = useFractal();
  const { job, position } = props;
  const { value, error } = useFetched(
    changes,
    { kinds: [] },
    () => api.environment(job.id, position),
    // A source folder may have changed until the job is retried.
    [job.id, position, job.status]
  );
  const lock = value?.lock;
  return (
    <>
      <Problem text={error} />
      {value && (
        <Facts
          label={`What step ${position} ran in`}
          facts={[
            ['Package', groupName(value)],
            ['Came from', value.origin],
            ['Source', sourceWords(value)],
            ['Python', lock?.python],
            ['Platform', lock?.platform],
            ['Digest', lock?.digest]
          ]}
        />
      )}
      {value && !lock && <p className="fj-soft">What was installed is not known.</p>}
      {lock && (
        <Installed
          heading="What was installed"
          find={`Find a package that step ${position} ran with`}
          freeze={lock.distributions.map(({ name, version, url }) =>
            url === null ? `${name}==${version}` : `${name} @ ${url}`
          )}
        />
      )}
    </>
  );
}

/** Which state of a source folder it was. */
function sourceWords({ source }: IEnvironment): string | null {
  return (
    source &&
    [
      source.commit && `commit ${source.commit}`,
      source.dirty && 'with changes since',
      source.digest && `digest ${source.digest}`
    ]
      .filter(Boolean)
      .join(', ')
  );
}
