/** The status bar: how many jobs run, and how far they are. */

import React, { useEffect, useState } from 'react';

import { CommandIDs, useFractal } from './fractal';
import { RunningJobs } from './running';
import { counted, fractionDone } from './words';

export function StatusItem(props: { running: RunningJobs }): JSX.Element | null {
  const { commands } = useFractal();
  const [jobs, setJobs] = useState(props.running.jobs);
  useEffect(() => {
    const listen = () => setJobs(props.running.jobs);
    props.running.changed.connect(listen);
    return () => void props.running.changed.disconnect(listen);
  }, [props.running]);
  if (!jobs.length) {
    return null;
  }
  const done = jobs.reduce((all, job) => all + fractionDone(job), 0) / jobs.length;
  return (
    <button
      type="button"
      className="fj-status-item"
      title="Show the jobs"
      onClick={() => void commands.execute(CommandIDs.panel)}
    >
      {`Fractal: ${counted(jobs.length, 'job')}, ${Math.floor(done * 100)} %`}
    </button>
  );
}
